# EfficientNet-Lite0 + ML-Decoder at 224 px, from ImageNet weights that come as a package.
_base_ = [
    '../_base_/models/lite_mldecoder_voc.py',
    '../_base_/datasets/own_224.py',
    '../_base_/schedules/own_adamw_onecycle_20e.py',
    '../_base_/default_runtime.py',
]

model = dict(
    backbone=dict(
        init_cfg=dict(type='Pretrained', checkpoint='timm://tf_efficientnet_lite0.in1k'),
    )
)
# Chosen on held-out photos of VOC (docs/results.md).
optim_wrapper = dict(
    optimizer=dict(lr=1e-3),
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.1))),
)
