"""Runner, hooks, schedules and checkpoint loading around MMEngine.

Importing it registers weights-only loaders for the checkpoints that MMEngine knows by name or by
the address of a store.
"""

from .checkpoints import model_zoo, remote_stores
from .checkpoints.checkpoint import load_weights_only
from .checkpoints.resume import find_resume_checkpoint
from .distributed.cpu_distributed import CPUDistributedDataParallel
from .hooks.channels_last import ChannelsLastHook
from .hooks.checkpoint_hook import DurableCheckpointHook
from .hooks.ema_hook import DualEMAHook
from .hooks.finite_loss_hook import FiniteLossHook
from .hooks.plain_history import PlainHistoryHook
from .hooks.preemption_hook import Preempted, PreemptionHook
from .hooks.seed_hook import IterSeedHook
from .hooks.test_time_aug import TestTimeAugHook
from .optimizers.param_groups import NoDecay1DConstructor
from .runners.epoch_loop import ResumableEpochLoop
from .runners.iter_loop import ResumableIterLoop
from .runners.runner import PortableRunner
from .runners.train_loop import LoopStateHook
from .schedulers.linear_warmup import LinearWarmupLR
from .schedulers.one_cycle import PlainOneCycleLR

__all__ = [
    'CPUDistributedDataParallel',
    'ChannelsLastHook',
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
    'Preempted',
    'PreemptionHook',
    'ResumableEpochLoop',
    'ResumableIterLoop',
    'TestTimeAugHook',
    'find_resume_checkpoint',
    'load_weights_only',
    'model_zoo',
    'remote_stores',
]
