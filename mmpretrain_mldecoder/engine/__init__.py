"""Runner, hooks, schedules and checkpoint loading around MMEngine.

Importing it registers weights-only loaders for the checkpoints that MMEngine knows by name or by
the address of a store.
"""

from . import model_zoo, remote_stores
from .channels_last import ChannelsLastHook
from .checkpoint import load_weights_only
from .checkpoint_hook import DurableCheckpointHook
from .cpu_distributed import CPUDistributedDataParallel
from .ema_hook import DualEMAHook
from .finite_loss_hook import FiniteLossHook
from .linear_warmup import LinearWarmupLR
from .one_cycle import PlainOneCycleLR
from .param_groups import NoDecay1DConstructor
from .plain_history import PlainHistoryHook
from .preemption_hook import Preempted, PreemptionHook
from .resume import find_resume_checkpoint
from .runner import PortableRunner
from .seed_hook import IterSeedHook
from .test_time_aug import TestTimeAugHook
from .train_loop import LoopStateHook, ResumableEpochLoop

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
    'TestTimeAugHook',
    'find_resume_checkpoint',
    'load_weights_only',
    'model_zoo',
    'remote_stores',
]
