# ImageNet-1k at 320 px, evaluation only: the short side and the crop are both 320.
_base_ = './imagenet_224.py'

test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=320, edge='short'),
    dict(type='CenterCrop', crop_size=320),
    dict(type='PackInputs'),
]

val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
