# Half-width ResNet-18-vd + ML-Decoder of width 256 for the demo's 12 classes.
model = dict(
    type='ImageClassifier',
    backbone=dict(type='ResNetVd', depth=18, stem_channels=32, base_channels=32),
    head=dict(
        type='MLDecoderHead',
        num_classes=12,
        in_channels=256,
        num_groups=12,
        embed_dims=256,
        num_heads=8,
        feedforward_channels=512,
        loss=dict(type='DetachedAsymmetricLoss'),
    ),
)
