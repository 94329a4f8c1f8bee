# The rendered demo scenes: 12 classes, 96 px, 3,000 + 600 images (make_demo_dataset.py).
dataset_type = 'COCOMultiLabel'
data_root = 'data/demo'

data_preprocessor = dict(
    num_classes=12,
    mean=[127.5, 127.5, 127.5],
    std=[64.0, 64.0, 64.0],
    to_rgb=True,
)

train_pipeline = [
    dict(type='LoadWholeImage'),
    dict(type='SquareResize', scale=96),  # changes nothing but images of your own
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadWholeImage'),
    dict(type='SquareResize', scale=96),
    dict(type='PackMultiLabelInputs'),
]

train_dataloader = dict(
    batch_size=50,
    num_workers=2,
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
)
val_dataloader = dict(
    batch_size=100,
    num_workers=2,
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
)
val_evaluator = dict(type='MultiLabelMAP', per_class=True)

test_dataloader = val_dataloader
test_evaluator = val_evaluator
