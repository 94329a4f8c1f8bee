# Fine-tuning on labels of your own, 32 images a step. The learning rate is not tuned. The EMA
# averages 1 / (1 - decay) steps: keep that well below all steps.
_base_ = './voc_adamw_onecycle_20e.py'

optim_wrapper = dict(optimizer=dict(lr=3e-4))
custom_hooks = [
    dict(type='IterSeedHook'),
    dict(type='DualEMAHook', decay=0.99),
]
