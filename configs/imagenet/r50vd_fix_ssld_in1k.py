_base_ = [
    '../_base_/models/r50vd_cls.py',
    '../_base_/datasets/imagenet_320.py',
    '../_base_/default_runtime.py',
]

evaluate_only = (
    'the weights are distilled (SSLD), then the classifier alone was tuned at 320 px; '
    'r50vd_in1k.py trains the same network'
)
train_dataloader = None
val_cfg = dict()
test_cfg = dict()
