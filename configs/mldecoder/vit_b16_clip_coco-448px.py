# PaddleX' CLIP_vit_base_patch16_448_ML: AdamW, half the learning rate, no EMA (there in fp32, with
# warm-up from 1e-6, here 5e-7). Trained weights: paddlex://CLIP_vit_base_patch16_448_ML.
_base_ = './r50_coco-448px.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='TIMMFeatureMap',
        model_name='vit_base_patch16_clip_224',
        img_size=448,
        init_cfg=dict(type='Pretrained', checkpoint='paddleclas://CLIP_vit_base_patch16_224'),
    ),
    # PaddleClas' ML-Decoder reads one token of this network; without the neck it reads the map.
    neck=dict(type='FirstPatch'),
    head=dict(in_channels=768),
)
optim_wrapper = dict(optimizer=dict(lr=5e-5))
train_dataloader = dict(batch_size=16)
auto_scale_lr = dict(base_batch_size=64)  # 4 GPUs, a number of ours
custom_hooks = [dict(type='IterSeedHook')]
