# CSRA (arXiv:2108.02456) with one head and lambda 0.1, as its authors take for VOC 2007.
_base_ = './mldecoder_lite2.py'

model = dict(
    head=dict(
        _delete_=True,
        type='CSRAClsHead',
        num_classes=20,
        in_channels=1280,
        num_heads=1,
        lam=0.1,
        loss=dict(type='DetachedAsymmetricLoss'),
    ),
)
optim_wrapper = dict(optimizer=dict(lr=3e-3))  # chosen for Lite0, as that of ML-Decoder
