_base_ = [
    '../_base_/models/r50_mldecoder.py',
    '../_base_/datasets/coco_224.py',
    '../_base_/schedules/coco_adam_onecycle_40e.py',
    '../_base_/default_runtime.py',
]

model = dict(backbone=dict(init_cfg=dict(type='Pretrained', checkpoint='timm://resnet50.a1_in1k')))
