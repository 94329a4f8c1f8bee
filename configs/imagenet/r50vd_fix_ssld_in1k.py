# Evaluate only: the weights are distilled (SSLD), and the fc was tuned at 320 px.
_base_ = [
    '../_base_/models/r50vd_cls.py',
    '../_base_/datasets/imagenet_320.py',
    '../_base_/default_runtime.py',
]

# no schedule: train.py refuses this file, test.py wants a checkpoint
train_dataloader = None
val_cfg = dict()
test_cfg = dict()
