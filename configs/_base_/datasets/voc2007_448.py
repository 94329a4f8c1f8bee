# PASCAL VOC 2007 as 20 labels, 448 px: trained on trainval (5,011 images), tested on test (4,952).
# A class of which an image has difficult objects only is unknown in loss and mAP.
dataset_type = 'VOC'  # PortableRunner makes it a SeededVOC
data_root = 'data/VOC2007'

data_preprocessor = dict(
    num_classes=20,
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    to_rgb=True,
)

train_pipeline = [
    dict(type='LoadWholeImage'),
    dict(type='SquareResize', scale=448),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='RandomCutout', size=0.5),
    dict(type='TwoOpRandAugment', fill=128),
    dict(type='PackMultiLabelInputs', num_classes=20),
]
test_pipeline = [
    dict(type='LoadWholeImage'),
    dict(type='SquareResize', scale=448),
    dict(type='PackMultiLabelInputs', num_classes=20),
]

train_dataloader = dict(
    batch_size=32,
    num_workers=8,
    persistent_workers=True,
    dataset=dict(type=dataset_type, data_root=data_root, split='trainval', pipeline=train_pipeline),
    sampler=dict(type='SeededSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    pin_memory=True,
)
val_dataloader = dict(
    batch_size=32,
    num_workers=8,
    persistent_workers=True,
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        split='test',
        pipeline=test_pipeline,
        test_mode=True,
    ),
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='default_collate'),
    pin_memory=True,
)
val_evaluator = dict(type='MultiLabelMAP')

test_dataloader = val_dataloader
test_evaluator = val_evaluator
