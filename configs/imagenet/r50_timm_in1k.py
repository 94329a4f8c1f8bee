_base_ = [
    '../_base_/models/r50_cls.py',
    '../_base_/datasets/imagenet_224_timm.py',
    '../_base_/default_runtime.py',
]

evaluate_only = "timm's A1 recipe is not repeated here; r50_in1k.py trains the same network"
train_dataloader = None
val_cfg = dict()
test_cfg = dict()
