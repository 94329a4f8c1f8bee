_base_ = [
    '../_base_/models/r50_mldecoder.py',
    '../_base_/datasets/coco_448.py',
    '../_base_/schedules/coco_adamw_cosine_40e.py',
    '../_base_/default_runtime.py',
]

model = dict(
    backbone=dict(depth=101, init_cfg=dict(type='Pretrained', checkpoint='paddleclas://ResNet101'))
)
