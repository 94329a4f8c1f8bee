# EfficientNet-Lite0 + ML-Decoder at 224 px, from ImageNet weights that come as a package.
_base_ = [
    '../_base_/models/lite_mldecoder_voc.py',
    '../_base_/datasets/own_224.py',
    '../_base_/schedules/voc_lite_adamw_onecycle_5e.py',
    '../_base_/default_runtime.py',
]

model = dict(
    backbone=dict(
        init_cfg=dict(type='Pretrained', checkpoint='timm://tf_efficientnet_lite0.in1k'),
    ),
    # with its margin, classes that most images show are learned badly (docs/imbalance.md)
    head=dict(loss=dict(clip=0.0)),
)
train_cfg = dict(max_epochs=20)  # for fewer photos than the 2,500 of that schedule
