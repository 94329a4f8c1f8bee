# Half-width ResNet-18-vd, global average pooling, one linear layer for the demo's 12 classes.
model = dict(
    type='ImageClassifier',
    backbone=dict(type='ResNetVd', depth=18, stem_channels=32, base_channels=32),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='MultiLabelLinearClsHead',
        num_classes=12,
        in_channels=256,
        loss=dict(type='DetachedAsymmetricLoss'),
    ),
)
