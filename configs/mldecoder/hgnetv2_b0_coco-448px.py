# PaddleX' PP-HGNetV2-B0_ML: AdamW, 448 px, no EMA; trained weights: paddlex://PP-HGNetV2-B0_ML.
_base_ = './r50_coco-448px.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='TIMMBackbone',
        model_name='hgnetv2_b0',
        init_cfg=dict(type='Pretrained', checkpoint='paddleclas://PPHGNetV2_B0'),
    ),
)
custom_hooks = [dict(type='IterSeedHook')]
