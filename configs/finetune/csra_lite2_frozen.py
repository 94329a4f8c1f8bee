# For fewer images, or fewer of each class, than ML-Decoder needs, and trained in a tenth of its
# time (docs/results.md#few-photos).
_base_ = './mldecoder_lite2_frozen.py'

model = dict(
    head=dict(
        _delete_=True,
        type='CSRAClsHead',
        num_classes=80,
        in_channels=1280,
        num_heads=1,
        lam=0.1,
        loss=dict(type='DetachedAsymmetricLoss', clip=0.0),  # as in mldecoder_lite0
    ),
)
# Rates from a tenth of it to ten times as much gave the same mAP within a point.
optim_wrapper = dict(optimizer=dict(lr=5e-2))
