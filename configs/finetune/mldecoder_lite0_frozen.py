# The head alone is trained, on the features of ImageNet: for some hundred or thousand images, and
# for CPUs. The features of 288 px are better than those of the 224 px of their training, and are
# computed once for an image and once for its mirror image. Half the learning rate of
# docs/results.md, which has 64 images a step.
_base_ = './mldecoder_lite0.py'

model = dict(backbone=dict(frozen=True, cache_gigabytes=2))
train_dataloader = dict(
    dataset=dict(
        pipeline=[
            dict(type='LoadWholeImage'),
            dict(type='SquareResize', scale=288),
            dict(type='RandomFlip', prob=0.5, direction='horizontal'),
            dict(type='PackMultiLabelInputs'),
        ]
    )
)
test_pipeline = [
    dict(type='LoadWholeImage'),
    dict(type='SquareResize', scale=288),
    dict(type='PackMultiLabelInputs'),
]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
optim_wrapper = dict(optimizer=dict(lr=5e-4, weight_decay=1e-2))
