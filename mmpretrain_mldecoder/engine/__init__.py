"""Runner, loops, hooks, optimizers and schedules around MMEngine."""

from .distributed.cpu_distributed import CPUDistributedDataParallel
from .hooks.channels_last import ChannelsLastHook
from .hooks.checkpoint_fit_hook import CheckpointFitHook
from .hooks.checkpoint_hook import DurableCheckpointHook, PlainHistoryHook
from .hooks.ema_hook import DualEMAHook
from .hooks.finite_loss_hook import FiniteLossHook
from .hooks.seed_hook import IterSeedHook
from .hooks.test_time_aug import TestTimeAugHook
from .optimizers.param_groups import NoDecay1DConstructor
from .runners.loops import LoopStateHook, ResumableEpochLoop, ResumableIterLoop
from .runners.preemption import PreemptionHook
from .runners.runner import PortableRunner
from .schedulers.lr_scheduler import LinearWarmupLR, PlainOneCycleLR

__all__ = [
    'CPUDistributedDataParallel',
    'ChannelsLastHook',
    'CheckpointFitHook',
    'DualEMAHook',
    'DurableCheckpointHook',
    'FiniteLossHook',
    'IterSeedHook',
    'LinearWarmupLR',
    'LoopStateHook',
    'NoDecay1DConstructor',
    'PlainHistoryHook',
    'PlainOneCycleLR',
    'PortableRunner',
    'PreemptionHook',
    'ResumableEpochLoop',
    'ResumableIterLoop',
    'TestTimeAugHook',
]
