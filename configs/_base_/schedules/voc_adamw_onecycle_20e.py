# Fine-tuning on 5,011 images: 157 steps of 32 an epoch, 3,140 in all; the EMA looks back about 300.
# The learning rate is the one that an author of ML-Decoder names for VOC (issue 14 of their code,
# there with 128 images a step). Not tuned.
optim_wrapper = dict(
    type='AmpOptimWrapper',
    loss_scale='dynamic',
    optimizer=dict(type='AdamW', lr=5e-5, weight_decay=1e-4, fused=True),
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
    dict(type='DualEMAHook', decay=0.997),
]
