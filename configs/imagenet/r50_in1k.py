_base_ = [
    '../_base_/models/r50_cls.py',
    '../_base_/datasets/imagenet_224.py',
    '../_base_/schedules/imagenet_sgd_step_120e.py',
    '../_base_/default_runtime.py',
]
