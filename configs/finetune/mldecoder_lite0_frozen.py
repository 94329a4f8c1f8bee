# The head alone is trained, on the features of ImageNet: for some hundred or thousand images, and
# for CPUs. Half the learning rate of docs/results.md, which has 64 images a step.
_base_ = './mldecoder_lite0.py'

model = dict(backbone=dict(frozen=True))
train_dataloader = dict(
    dataset=dict(
        pipeline=[
            dict(type='LoadWholeImage'),
            dict(type='SquareResize', scale=224),
            dict(type='RandomFlip', prob=0.5, direction='horizontal'),
            dict(type='PackMultiLabelInputs'),
        ]
    )
)
optim_wrapper = dict(optimizer=dict(lr=5e-4, weight_decay=1e-2))
