# COCO 2014 at 448 px; pixels, cutout and RandAugment as at 224 px.
_base_ = './coco2014_224.py'

train_pipeline = [
    dict(type='LoadWholeImage'),
    dict(type='SquareResize', scale=448),
    dict(type='RandomCutout', size=0.5),
    dict(type='TwoOpRandAugment', fill=128),
    dict(type='PackMultiLabelInputs'),
]
test_pipeline = [
    dict(type='LoadWholeImage'),
    dict(type='SquareResize', scale=448),
    dict(type='PackMultiLabelInputs'),
]

train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
