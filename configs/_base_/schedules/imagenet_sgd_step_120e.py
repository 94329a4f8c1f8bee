# PaddleClas' ResNet50.yaml: 120 epochs, 64 a GPU, lr 0.1, 0.01, 0.001, 0.0001, no warm-up.
# 4 GPUs x 64 = 256 images a step pair with lr 0.1.
# L2 on all parameters: biases and batch normalisation too, as there.
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=1e-4))
param_scheduler = dict(type='MultiStepLR', by_epoch=True, milestones=[30, 60, 90], gamma=0.1)

train_cfg = dict(by_epoch=True, max_epochs=120, val_interval=1)
val_cfg = dict()
test_cfg = dict()

auto_scale_lr = dict(base_batch_size=256)

custom_hooks = [dict(type='IterSeedHook')]
