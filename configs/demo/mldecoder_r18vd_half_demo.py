_base_ = [
    '../_base_/models/r18vd_half_mldecoder.py',
    '../_base_/datasets/demo_96.py',
    '../_base_/schedules/demo_adamw_onecycle_9e.py',
    '../_base_/default_runtime.py',
]

default_hooks = dict(logger=dict(interval=20))
