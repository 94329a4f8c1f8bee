# OpenAI's CLIP ViT-B/16, whose whole map is read. What is not here is the -448px recipe; not tuned.
# Source: LightDXY/FT-CLIP (arXiv:2212.06138), B/16 at 384 px: layer decay 0.6, weight decay 0.05;
# its learning rate of 7e-4 for 2,048 images a step is 0.9e-4 for these 256, and 1e-4 stays.
_base_ = './r50_coco-448px.py'

data_preprocessor = dict(
    mean=[122.770938, 116.746013, 104.093736],
    std=[68.500533, 66.632158, 70.323163],
)
model = dict(
    backbone=dict(
        _delete_=True,
        type='TIMMFeatureMap',
        model_name='vit_base_patch16_clip_quickgelu_224',
        img_size=448,
        init_cfg=dict(
            type='Pretrained', checkpoint='timm://vit_base_patch16_clip_quickgelu_224.openai'
        ),
    ),
    head=dict(in_channels=768),
)
optim_wrapper = dict(optimizer=dict(weight_decay=0.05), paramwise_cfg=dict(layer_decay_rate=0.6))
