# For many classes with few images each (docs/results.md#few-photos).
_base_ = './mldecoder_r50vd_ssld.py'

model = dict(
    head=dict(
        _delete_=True,
        type='CSRAClsHead',
        num_classes=80,
        in_channels=2048,
        num_heads=1,
        lam=0.1,
        loss=dict(type='DetachedAsymmetricLoss', clip=0.0),  # as in mldecoder_r50vd_ssld
    ),
)
