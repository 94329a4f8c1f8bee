# Evaluate only: timm's A1 recipe is not repeated here.
_base_ = [
    '../_base_/models/r50_cls.py',
    '../_base_/datasets/imagenet_224_timm.py',
    '../_base_/default_runtime.py',
]

# no schedule: train.py refuses this file, test.py wants a checkpoint
train_dataloader = None
val_cfg = dict()
test_cfg = dict()
