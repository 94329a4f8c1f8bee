# COCO 2017 as 80 labels, 224 px: the table's recipe (PaddleClas' draft, the authors' recipe).
dataset_type = 'COCOMultiLabel'
data_root = 'data/COCO2017'

data_preprocessor = dict(
    num_classes=80,
    # RGB / 255, nothing subtracted
    mean=[0.0, 0.0, 0.0],
    std=[255.0, 255.0, 255.0],
    to_rgb=True,
)

train_pipeline = [
    dict(type='LoadWholeImage'),
    dict(type='SquareResize', scale=224),
    dict(type='RandomCutout', size=0.5),
    dict(type='TwoOpRandAugment', fill=128),
    dict(type='PackMultiLabelInputs'),
]
test_pipeline = [
    dict(type='LoadWholeImage'),
    dict(type='SquareResize', scale=224),
    dict(type='PackMultiLabelInputs'),
]

train_dataloader = dict(
    batch_size=56,  # a GPU
    num_workers=8,
    persistent_workers=True,
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='annotations/instances_train2017.json',
        data_prefix='train2017',
        pipeline=train_pipeline,
    ),
    sampler=dict(type='SeededSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    pin_memory=True,
)
val_dataloader = dict(
    batch_size=56,
    num_workers=8,
    persistent_workers=True,
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='annotations/instances_val2017.json',
        data_prefix='val2017',
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
