_base_ = [
    '../_base_/models/r50vd_linear.py',
    '../_base_/datasets/own_448.py',
    '../_base_/schedules/own_adamw_onecycle_20e.py',
    '../_base_/default_runtime.py',
]

model = dict(
    backbone=dict(init_cfg=dict(type='Pretrained', checkpoint='paddleclas://ResNet50_vd_ssld')),
    head=dict(loss=dict(clip=0.0)),  # as in mldecoder_r50vd_ssld
)
