_base_ = './mldecoder_r50vd_ssld.py'

model = dict(
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        _delete_=True,
        type='MultiLabelLinearClsHead',
        num_classes=80,
        in_channels=2048,
        loss=dict(type='DetachedAsymmetricLoss'),
    ),
)
