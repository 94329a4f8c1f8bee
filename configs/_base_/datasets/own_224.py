# Labels of your own as COCO JSON, at 224 px with the pixels of EfficientNet-Lite0.
_base_ = './coco_224.py'

data_preprocessor = dict(mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5])

train_pipeline = [
    dict(type='LoadWholeImage'),
    dict(type='SquareResize', scale=224),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='RandomCutout', size=0.5),
    dict(type='TwoOpRandAugment', fill=128),
    dict(type='PackMultiLabelInputs'),
]
data = dict(data_root='data/own', data_prefix='')

train_dataloader = dict(
    batch_size=32,
    num_workers=4,
    dataset=dict(ann_file='train.json', pipeline=train_pipeline, **data),
)
val_dataloader = dict(batch_size=32, num_workers=4, dataset=dict(ann_file='val.json', **data))
test_dataloader = dict(batch_size=32, num_workers=4, dataset=dict(ann_file='test.json', **data))
