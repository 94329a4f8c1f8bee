"""Runner, loops, hooks, optimizers and schedules around MMEngine."""

from .distributed import CPUDistributedDataParallel
from .hooks.channels_last import ChannelsLastHook
from .hooks.checkpoint_fit_hook import CheckpointFitHook
from .hooks.checkpoint_hook import DurableCheckpointHook
from .hooks.class_counts_hook import ClassCountsHook
from .hooks.ema_hook import DualEMAHook
from .hooks.finite_loss_hook import FiniteLossHook
from .hooks.live_page_hook import LivePageHook
from .hooks.test_time_aug import TestTimeAugHook
from .optimizers import NoDecay1DConstructor
from .runners.loops import ResumableEpochLoop, ResumableIterLoop
from .runners.preemption import PreemptionHook
from .runners.resume import IterSeedHook, ResumeHook
from .runners.runner import PortableRunner
from .schedulers import LinearWarmupLR, PlainOneCycleLR

__all__ = [
    'CPUDistributedDataParallel',
    'ChannelsLastHook',
    'CheckpointFitHook',
    'ClassCountsHook',
    'DualEMAHook',
    'DurableCheckpointHook',
    'FiniteLossHook',
    'IterSeedHook',
    'LinearWarmupLR',
    'LivePageHook',
    'NoDecay1DConstructor',
    'PlainOneCycleLR',
    'PortableRunner',
    'PreemptionHook',
    'ResumableEpochLoop',
    'ResumableIterLoop',
    'ResumeHook',
    'TestTimeAugHook',
]
