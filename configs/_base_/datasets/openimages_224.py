# OpenImages' 9,605 classes at 224 px, for prediction: the class names come from the checkpoint.
# To test, bring the labels as COCO instances JSON. It knows no unknown labels, and OpenImages has
# mostly those: the mAP is then far below the published 86.8 (docs/model_zoo.md).
data_preprocessor = dict(
    num_classes=9605,
    # RGB / 255, nothing subtracted
    mean=[0.0, 0.0, 0.0],
    std=[255.0, 255.0, 255.0],
    to_rgb=True,
)

test_pipeline = [
    dict(type='LoadWholeImage'),
    dict(type='SquareResize', scale=224),
    dict(type='PackMultiLabelInputs'),
]

test_dataloader = dict(
    batch_size=56,
    num_workers=8,
    persistent_workers=True,
    dataset=dict(
        type='COCOMultiLabel',
        data_root='data/OpenImages',
        # category ids 0 to 9604, in the order of the checkpoint's classes
        ann_file='annotations/instances_test.json',
        data_prefix='test',
        pipeline=test_pipeline,
        test_mode=True,
    ),
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='default_collate'),
    pin_memory=True,
)
test_evaluator = dict(type='MultiLabelMAP')
