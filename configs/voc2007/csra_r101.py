_base_ = './csra_r50.py'

model = dict(
    backbone=dict(depth=101, init_cfg=dict(type='Pretrained', checkpoint='paddleclas://ResNet101'))
)
