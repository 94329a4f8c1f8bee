_base_ = [
    '../_base_/models/r50vd_cls.py',
    '../_base_/datasets/imagenet_224.py',
    '../_base_/schedules/imagenet_sgd_cosine_200e.py',
    '../_base_/default_runtime.py',
]

# label smoothing 0.1 and mixup 0.2, as PaddleClas
model = dict(
    head=dict(loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1, mode='original')),
    train_cfg=dict(augments=dict(type='Mixup', alpha=0.2)),
)
