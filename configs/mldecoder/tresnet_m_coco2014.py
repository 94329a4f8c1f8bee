# The authors' TResNet-M: tools/test.py THIS miil://tresnet_m_coco_224 (84.2 on COCO 2014).
_base_ = [
    '../_base_/models/tresnet_m_mldecoder.py',
    '../_base_/datasets/coco2014_224.py',
    '../_base_/schedules/coco_adam_onecycle_40e.py',
    '../_base_/default_runtime.py',
]

# Training starts from ImageNet-21k. The authors' own start is not published (their issue 19); from
# public weights a user got 78.9 (issue 50).
model = dict(
    backbone=dict(init_cfg=dict(type='Pretrained', checkpoint='timm://tresnet_m.miil_in21k'))
)
