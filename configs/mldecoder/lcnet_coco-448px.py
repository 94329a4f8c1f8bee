# PaddleX' PP-LCNet_x1_0_ML: AdamW, 448 px, no EMA; trained weights: paddlex://PP-LCNet_x1_0_ML.
_base_ = './r50_coco-448px.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='TIMMBackbone',
        model_name='lcnet_100',
        init_cfg=dict(type='Pretrained', checkpoint='paddleclas://PPLCNet_x1_0'),
    ),
    head=dict(in_channels=1280),
)
custom_hooks = [dict(type='IterSeedHook')]
