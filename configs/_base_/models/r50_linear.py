# The baseline: ResNet-50, global average pooling, one linear layer for the 80 classes of COCO.
model = dict(
    type='ImageClassifier',
    backbone=dict(type='ResNet', depth=50),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='MultiLabelLinearClsHead',
        num_classes=80,
        in_channels=2048,
        loss=dict(type='DetachedAsymmetricLoss'),
    ),
)
