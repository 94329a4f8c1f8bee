# The table's recipe at 320 px, where the Fix_ weights were tuned.
_base_ = './coco_224.py'

train_pipeline = [
    dict(type='LoadWholeImage'),
    dict(type='SquareResize', scale=320),
    dict(type='RandomCutout', size=0.5),
    dict(type='TwoOpRandAugment', fill=128),
    dict(type='PackMultiLabelInputs'),
]
test_pipeline = [
    dict(type='LoadWholeImage'),
    dict(type='SquareResize', scale=320),
    dict(type='PackMultiLabelInputs'),
]

train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
