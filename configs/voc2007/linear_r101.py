_base_ = './linear_r50.py'

model = dict(
    backbone=dict(depth=101, init_cfg=dict(type='Pretrained', checkpoint='paddleclas://ResNet101'))
)
