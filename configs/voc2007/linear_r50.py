_base_ = [
    '../_base_/models/r50_linear.py',
    '../_base_/datasets/voc2007_448.py',
    '../_base_/schedules/voc_adamw_onecycle_20e.py',
    '../_base_/default_runtime.py',
]

model = dict(
    backbone=dict(init_cfg=dict(type='Pretrained', checkpoint='paddleclas://ResNet50')),
    head=dict(num_classes=20),
)
