# The head alone is trained, on the features of ImageNet, which are computed once for an image and
# once for its mirror image: for some hundred or thousand images, and for CPUs. 320 px give better
# features than the 224 px of their training (docs/results.md). Half the learning rate that was
# chosen there, which has 64 images a step.
_base_ = './mldecoder_lite0.py'

model = dict(backbone=dict(frozen=True, cache_gigabytes=2))
train_dataloader = dict(
    dataset=dict(
        pipeline=[
            dict(type='LoadWholeImage'),
            dict(type='SquareResize', scale=320),
            dict(type='RandomFlip', prob=0.5, direction='horizontal'),
            dict(type='PackMultiLabelInputs'),
        ]
    )
)
test_pipeline = [
    dict(type='LoadWholeImage'),
    dict(type='SquareResize', scale=320),
    dict(type='PackMultiLabelInputs'),
]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
optim_wrapper = dict(optimizer=dict(lr=5e-4, weight_decay=1e-2))
