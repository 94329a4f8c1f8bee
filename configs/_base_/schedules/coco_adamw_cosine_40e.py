# PaddleClas' final recipe: AdamW, 5 epochs of warm-up, cosine to epoch 40, EMA, fp16.
# 4 GPUs x 64 = 256 images a step pair with lr 1e-4; the GPU count is ours, no source states one.
optim_wrapper = dict(
    type='AmpOptimWrapper',
    loss_scale='dynamic',
    optimizer=dict(type='AdamW', lr=1e-4, weight_decay=1e-4, fused=True),
    constructor='NoDecay1DConstructor',
)
param_scheduler = [
    # from 1e-4 x 0.01 = 1e-6
    dict(
        type='LinearWarmupLR',
        start_factor=0.01,
        by_epoch=True,
        begin=0,
        end=5,
        convert_to_iter_based=True,
    ),
    dict(
        type='CosineAnnealingLR',
        T_max=35,
        eta_min=1e-10,
        by_epoch=True,
        begin=5,
        end=40,
        convert_to_iter_based=True,
    ),
]

train_cfg = dict(by_epoch=True, max_epochs=40, val_interval=1)
val_cfg = dict()
test_cfg = dict()

auto_scale_lr = dict(base_batch_size=256)

custom_hooks = [
    dict(type='IterSeedHook'),
    dict(type='DualEMAHook', decay=0.9997),
]
