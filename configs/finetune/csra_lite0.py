# CSRA (arXiv:2108.02456): a linear layer on the mean of the feature map and on its best cell.
_base_ = './mldecoder_lite0.py'

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
optim_wrapper = dict(optimizer=dict(lr=3e-3))  # chosen as that of mldecoder_lite0
