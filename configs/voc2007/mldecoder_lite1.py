_base_ = [
    '../_base_/models/lite_mldecoder_voc.py',
    '../_base_/datasets/voc2007_240.py',
    '../_base_/schedules/voc_lite_adamw_onecycle_5e.py',
    '../_base_/default_runtime.py',
]

model = dict(
    backbone=dict(
        model_name='tf_efficientnet_lite1',
        init_cfg=dict(type='Pretrained', checkpoint='timm://tf_efficientnet_lite1.in1k'),
    )
)
