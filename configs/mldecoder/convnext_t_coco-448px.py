# ConvNeXt-T from ImageNet-22k. What is not here is the -448px recipe; nothing was tuned.
# Source: facebookresearch/ConvNeXt, TRAINING.md, fine-tuning from ImageNet-22k: layer decay 0.8
# (its smallest network there is B), weight decay 1e-8.
_base_ = './r50_coco-448px.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='TIMMFeatureMap',
        model_name='convnext_tiny',
        init_cfg=dict(type='Pretrained', checkpoint='timm://convnext_tiny.fb_in22k_ft_in1k'),
    ),
    head=dict(in_channels=768),
)
optim_wrapper = dict(
    optimizer=dict(weight_decay=1e-8),
    # They count 14 layers, timm 20 in T: 0.8 ** 13 = 0.055 and 0.86 ** 19 = 0.057 for the stem.
    paramwise_cfg=dict(layer_decay_rate=0.86),
)
