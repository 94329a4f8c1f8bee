# COCO 2017 at 448 px as in PaddleClas' final README: ImageNet mean and std, cutout 224 px.
_base_ = './coco_224.py'

data_preprocessor = dict(
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
)

train_pipeline = [
    dict(type='LoadWholeImage'),
    dict(type='SquareResize', scale=448),
    dict(type='RandomCutout', size=224),
    dict(type='TwoOpRandAugment', fill=128),
    dict(type='PackMultiLabelInputs'),
]
test_pipeline = [
    dict(type='LoadWholeImage'),
    dict(type='SquareResize', scale=448),
    dict(type='PackMultiLabelInputs'),
]

train_dataloader = dict(batch_size=64, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(batch_size=64, dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(batch_size=64, dataset=dict(pipeline=test_pipeline))
