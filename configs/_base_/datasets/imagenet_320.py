# ImageNet-1k at 320 px, evaluation only: the short side and the crop are both 320.
# Source: PaddleClas' table of T4 speeds, docs/en/models/ResNet_and_vd_en.md; no yaml states it.
_base_ = './imagenet_224.py'

test_pipeline = [
    dict(type='LoadWholeImage'),
    dict(type='ShortSideResize', scale=320),
    dict(type='CenterCrop', crop_size=320),
    dict(type='PackInputs'),
]

val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
