# Fine-tuning on labels of your own, 32 images a step; the learning rate is the one that
# docs/results.md chose. The EMA averages 1 / (1 - decay) steps: keep that well below all steps.
optim_wrapper = dict(
    type='AmpOptimWrapper',
    loss_scale='dynamic',
    optimizer=dict(type='AdamW', lr=3e-4, weight_decay=1e-4, fused=True),
    constructor='NoDecay1DConstructor',
)
param_scheduler = dict(
    type='PlainOneCycleLR',
    pct_start=0.2,
    by_epoch=True,
    convert_to_iter_based=True,
)

train_cfg = dict(by_epoch=True, max_epochs=20, val_interval=1)
val_cfg = dict()
test_cfg = dict()

auto_scale_lr = dict(base_batch_size=32)

custom_hooks = [
    dict(type='IterSeedHook'),
    dict(type='DualEMAHook', decay=0.99),
]
