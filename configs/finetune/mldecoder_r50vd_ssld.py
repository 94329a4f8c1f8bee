# ResNet50_vd_ssld + ML-Decoder at 448 px, for a GPU.
_base_ = [
    '../_base_/models/r50vd_mldecoder.py',
    '../_base_/datasets/own_448.py',
    '../_base_/schedules/own_adamw_onecycle_20e.py',
    '../_base_/default_runtime.py',
]

model = dict(
    backbone=dict(init_cfg=dict(type='Pretrained', checkpoint='paddleclas://ResNet50_vd_ssld')),
    # with its margin, classes that most images show are learned badly (docs/imbalance.md)
    head=dict(loss=dict(clip=0.0)),
)
