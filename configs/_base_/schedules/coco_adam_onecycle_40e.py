# The table's recipe: Adam with L2, OneCycle over 40 epochs, EMA, fp16.
# 4 GPUs x 56 = 224 images a step pair with lr 1e-4; the GPU count is ours, no source states one.
optim_wrapper = dict(
    type='AmpOptimWrapper',
    loss_scale='dynamic',
    optimizer=dict(type='Adam', lr=1e-4, weight_decay=1e-4, fused=True),
    constructor='NoDecay1DConstructor',
)
# Over all epochs of train_cfg: 20 % of the steps up from lr/25 to the optimizer's lr, then by
# cosine down to 1e-4 / 25 / 4e4 = 1e-10
param_scheduler = dict(
    type='PlainOneCycleLR',
    pct_start=0.2,
    div_factor=25.0,
    final_div_factor=4e4,
    by_epoch=True,
    convert_to_iter_based=True,
)

train_cfg = dict(by_epoch=True, max_epochs=40, val_interval=1)
val_cfg = dict()
test_cfg = dict()

auto_scale_lr = dict(base_batch_size=224)

custom_hooks = [
    dict(type='IterSeedHook'),
    dict(type='DualEMAHook', decay=0.9997),
]
