# What every run shares: logging, checkpoints, randomness.
custom_imports = dict(imports=['mmpretrain_mldecoder'], allow_failed_imports=False)
default_scope = 'mmpretrain'

# MMEngine's Runner, which also trains where there is no GPU (gloo, fp32).
runner_type = 'PortableRunner'
# Convolutions in channels-last order: faster, equal within rounding, checkpoints stay the same.
channels_last = True

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=100),
    param_scheduler=dict(type='ParamSchedulerHook'),
    # 'auto' is the first metric: coco/mAP of the EMA weights, or accuracy/top1.
    checkpoint=dict(type='DurableCheckpointHook', interval=1, max_keep_ckpts=3, save_best='auto'),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    visualization=dict(type='VisualizationHook', enable=False),
)

env_cfg = dict(
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)

vis_backends = [dict(type='LocalVisBackend')]
visualizer = dict(type='UniversalVisualizer', vis_backends=vis_backends)

log_level = 'INFO'
load_from = None
resume = False

# A fixed seed, so that a resumed run draws what the unbroken one would have drawn.
randomness = dict(seed=0)
