# Swin-T from ImageNet-22k. What is not here is the -448px recipe; nothing was tuned.
# Source: microsoft/Swin-Transformer, configs/simmim/simmim_finetune__swin_base__*: layer decay 0.8,
# weight decay 0.05 (for B after masked pre-training; its fine-tuning of T decays no rates). Drop
# path 0.1 as there, timm's default.
_base_ = './r50_coco-448px.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='TIMMFeatureMap',
        model_name='swin_tiny_patch4_window7_224',
        img_size=448,
        init_cfg=dict(
            type='Pretrained', checkpoint='timm://swin_tiny_patch4_window7_224.ms_in22k_ft_in1k'
        ),
    ),
    head=dict(in_channels=768),
)
optim_wrapper = dict(optimizer=dict(weight_decay=0.05), paramwise_cfg=dict(layer_decay_rate=0.8))
