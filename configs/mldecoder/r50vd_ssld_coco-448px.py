_base_ = [
    '../_base_/models/r50vd_mldecoder.py',
    '../_base_/datasets/coco_448.py',
    '../_base_/schedules/coco_adamw_cosine_40e.py',
    '../_base_/default_runtime.py',
]

model = dict(
    backbone=dict(init_cfg=dict(type='Pretrained', checkpoint='paddleclas://ResNet50_vd_ssld'))
)
