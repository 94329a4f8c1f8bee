# TResNet-M + ML-Decoder for the 80 classes of COCO: the authors' model, with timm's backbone.
model = dict(
    type='ImageClassifier',
    backbone=dict(type='TIMMBackbone', model_name='tresnet_m'),
    head=dict(
        type='MLDecoderHead',
        num_classes=80,
        in_channels=2048,
        num_groups=80,
        embed_dims=768,
        num_heads=8,
        feedforward_channels=2048,
        num_layers=1,
        drop_rate=0.1,
        # gamma_neg 4, gamma_pos 0, clip 0.05, summed over the classes and the GPU's batch
        loss=dict(type='DetachedAsymmetricLoss'),
    ),
)
