_base_ = [
    '../_base_/models/r50vd_cls.py',
    '../_base_/datasets/imagenet_224.py',
    '../_base_/schedules/imagenet_sgd_cosine_200e.py',
    '../_base_/default_runtime.py',
]

# PaddleClas' ResNet50_vd.yaml: CELoss with epsilon 0.1, which moves 0.1 / 1000 to every class,
# and MixupOperator with alpha 0.2 on every batch. (Its ResNet50.yaml has neither.)
model = dict(
    head=dict(loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1, mode='original')),
    train_cfg=dict(augments=dict(type='Mixup', alpha=0.2)),
)
