# DINOv3 ViT-S/16 (weights: DINOv3 License). What is not here is the -448px recipe; not tuned.
# Source: tue-mps/eomt, configs/dinov3/coco/panoptic/eomt_small_640_2x.yaml, the same weights on
# COCO 2017: layer decay 0.8 (but of the last 3 blocks), weight decay 0.05.
_base_ = './r50_coco-448px.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='TIMMFeatureMap',
        model_name='vit_small_patch16_dinov3',
        init_cfg=dict(type='Pretrained', checkpoint='timm://vit_small_patch16_dinov3.lvd1689m'),
    ),
    head=dict(in_channels=384),
)
optim_wrapper = dict(optimizer=dict(weight_decay=0.05), paramwise_cfg=dict(layer_decay_rate=0.8))
