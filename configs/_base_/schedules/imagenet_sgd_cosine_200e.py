# PaddleClas' ResNet50_vd.yaml: 200 epochs, 64 a GPU, lr 0.1, cosine to 0 by the step, no warm-up.
# 4 GPUs x 64 = 256 images a step pair with lr 0.1.
# L2 on all parameters: biases and batch normalisation too, as there.
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=7e-5))
param_scheduler = dict(
    type='CosineAnnealingLR', T_max=200, by_epoch=True, convert_to_iter_based=True
)

train_cfg = dict(by_epoch=True, max_epochs=200, val_interval=1)
val_cfg = dict()
test_cfg = dict()

auto_scale_lr = dict(base_batch_size=256)

custom_hooks = [dict(type='IterSeedHook')]
