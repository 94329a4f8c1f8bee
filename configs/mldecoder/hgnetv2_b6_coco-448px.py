# PaddleX' PP-HGNetV2-B6_ML: AdamW, 448 px, EMA; trained weights: paddlex://PP-HGNetV2-B6_ML.
_base_ = './r50_coco-448px.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='TIMMBackbone',
        model_name='hgnetv2_b6',
        init_cfg=dict(type='Pretrained', checkpoint='paddleclas://PPHGNetV2_B6'),
    ),
)
train_dataloader = dict(batch_size=8)  # a GPU; with the learning rate of 256 a step on 4 GPUs
auto_scale_lr = dict(base_batch_size=32)
