# ImageNet-1k at 224 px as timm evaluates resnet50.a1_in1k: crop ratio 0.95, bicubic, PIL.
# The published 0.804 is at 224 px (arXiv:2110.00476, A1); by now timm tests these weights at
# 288 px, uncropped, and gets another number.
_base_ = './imagenet_224.py'

test_pipeline = [
    dict(type='LoadWholeImage'),
    # floor(224 / 0.95) = 235
    dict(type='ResizeEdge', scale=235, edge='short', backend='pillow', interpolation='bicubic'),
    dict(type='CenterCrop', crop_size=224),
    dict(type='PackInputs'),
]

val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
