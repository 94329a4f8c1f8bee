# The recipe of docs/results.md, which trains on 2,500 photos of VOC 2007. The rate of the head was
# chosen for EfficientNet-Lite0 on held-out photos; the backbone learns at a tenth of it. The EMA
# averages 100 steps.
_base_ = './voc_adamw_onecycle_20e.py'

optim_wrapper = dict(
    optimizer=dict(lr=1e-3),
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.1))),
)
train_cfg = dict(max_epochs=5)
custom_hooks = [
    dict(type='IterSeedHook'),
    dict(type='DualEMAHook', decay=0.99),
]
