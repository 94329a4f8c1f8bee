# The authors' TResNet-L: tools/test.py THIS miil://tresnet_l_coco_448 (90.1 on COCO 2014; 90.0
# by the name of the file).
_base_ = [
    '../_base_/models/tresnet_l_mldecoder.py',
    '../_base_/datasets/coco2014_448.py',
    '../_base_/schedules/coco_adam_onecycle_40e.py',
    '../_base_/default_runtime.py',
]

# Training starts from ImageNet-21k; the authors' own start is a file of its own at their address.
model = dict(
    backbone=dict(init_cfg=dict(type='Pretrained', checkpoint='timm://tresnet_v2_l.miil_in21k'))
)
