# A short schedule from scratch for the demo: minutes on two CPU cores.
# 3,000 / 50 = 60 steps an epoch, 540 in all; the EMA looks back about 100 of them.
optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=1e-2),
    constructor='NoDecay1DConstructor',
)
param_scheduler = dict(
    type='PlainOneCycleLR',
    pct_start=0.2,
    by_epoch=True,
    convert_to_iter_based=True,
)

train_cfg = dict(by_epoch=True, max_epochs=9, val_interval=1)
val_cfg = dict()
test_cfg = dict()

auto_scale_lr = dict(base_batch_size=50)

custom_hooks = [
    dict(type='IterSeedHook'),
    dict(type='DualEMAHook', decay=0.99),
]
