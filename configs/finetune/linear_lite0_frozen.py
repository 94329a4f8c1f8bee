_base_ = './mldecoder_lite0_frozen.py'

model = dict(
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        _delete_=True,
        type='MultiLabelLinearClsHead',
        num_classes=80,
        in_channels=1280,
        loss=dict(type='DetachedAsymmetricLoss', clip=0.0),  # as in mldecoder_lite0
    ),
)
optim_wrapper = dict(optimizer=dict(lr=1.5e-3))
