# VOC 2007 at 240 px with the pixels of EfficientNet-Lite1: (x - 127.5) / 127.5.
_base_ = './voc2007_224.py'

train_pipeline = [
    dict(type='LoadWholeImage'),
    dict(type='SquareResize', scale=240),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='RandomCutout', size=0.5),
    dict(type='TwoOpRandAugment', fill=128),
    dict(type='PackMultiLabelInputs', num_classes=20),
]
test_pipeline = [
    dict(type='LoadWholeImage'),
    dict(type='SquareResize', scale=240),
    dict(type='PackMultiLabelInputs', num_classes=20),
]

train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
