_base_ = './mldecoder_lite0.py'

model = dict(
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        _delete_=True,
        type='MultiLabelLinearClsHead',
        num_classes=20,
        in_channels=1280,
        loss=dict(type='DetachedAsymmetricLoss'),
    ),
)
optim_wrapper = dict(optimizer=dict(lr=3e-3))  # chosen for Lite0, as that of ML-Decoder
