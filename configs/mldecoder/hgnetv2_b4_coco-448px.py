# PaddleX' PP-HGNetV2-B4_ML: AdamW, 448 px, no EMA; trained weights: paddlex://PP-HGNetV2-B4_ML.
_base_ = './r50_coco-448px.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='TIMMBackbone',
        model_name='hgnetv2_b4',
        init_cfg=dict(type='Pretrained', checkpoint='paddleclas://PPHGNetV2_B4'),
    ),
)
custom_hooks = [dict(type='IterSeedHook')]
