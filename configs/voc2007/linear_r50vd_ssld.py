_base_ = './linear_r50.py'

model = dict(
    backbone=dict(
        type='ResNetVd',
        init_cfg=dict(type='Pretrained', checkpoint='paddleclas://ResNet50_vd_ssld'),
    )
)
