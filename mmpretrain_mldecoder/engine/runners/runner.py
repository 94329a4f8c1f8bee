"""MMEngine's runner, on any machine and safe to kill."""

from functools import partial
from pathlib import Path

import torch
from mmengine.device import get_device
from mmengine.dist import get_rank, is_distributed
from mmengine.fileio import LocalBackend, get_file_backend
from mmengine.hooks import EarlyStoppingHook
from mmengine.model import is_model_wrapper
from mmengine.registry import RUNNERS as MMENGINE_RUNNERS
from mmengine.runner import Runner, get_priority, set_random_seed
from mmpretrain.registry import RUNNERS
from torch import nn
from torch.nn.utils import convert_conv2d_weight_memory_format
from torch.utils.data import DataLoader

from ...errors import ConfigError, RunError
from ...fileio.atomic_write import atomic_write
from ...layers import MLDecoder
from ..checks.build import ExplainedBuilds, check_annotation_files
from ..distributed import RankVote, init_cpu_process_group, on_main_process, unwrapped
from ..hooks.channels_last import ChannelsLastHook, is_safe_in_channels_last
from ..hooks.checkpoint_fit_hook import CheckpointFitHook
from ..hooks.class_counts_hook import ClassCountsHook
from ..hooks.finite_loss_hook import FiniteLossHook
from .loading import UnreadableImagesHook, explained_loading
from .portable import needs_fp32, portable_loader, portable_parts
from .preemption import PreemptionHook
from .resume import ResumeHook, ResumingRunner
from .trackers import TestScalarsHook
from .work_dir import claim_timestamp, one_training


# MMPretrain's tools look `runner_type` up in MMEngine's registry, before any scope is set.
@MMENGINE_RUNNERS.register_module()
@RUNNERS.register_module()
class PortableRunner(ExplainedBuilds, ResumingRunner):
    """``Runner`` that also trains and tests without a GPU, and resumes exactly after any end.

    - Without a GPU: processes talk over gloo, the model is wrapped for the CPU, mixed precision
      becomes fp32 (with a warning), memory is not pinned (:func:`portable_parts`).
    - Checkpoints hold plain data only, and none is removed before the next one is complete
      (:class:`DurableCheckpointHook`).
    - Resume takes the newest complete checkpoint, and its seed before the data loaders are built,
      so the remaining samples are those of the unbroken run (:class:`ResumingRunner`).
    - Errors in the config, and a checkpoint that does not fit the model, raise at the start
      (:class:`ConfigCheckHook`, :class:`CheckpointFitHook`). A loss that is not finite ends the
      training (:class:`FiniteLossHook`), SIGTERM with a checkpoint (:class:`PreemptionHook`).
    - One training at a time works in a work dir (:func:`one_training`), and only a training writes
      its config there. Each run has a log folder of its own.

    Two keys of the config make a step faster:

    - ``channels_last = True``: 2-D convolutions work in channels-last order, in training and in
      tests. Results agree within rounding; checkpoints are the same (:class:`ChannelsLastHook`).
    - ``compile = True``, or a dict of arguments of ``torch.compile``: a training compiles the
      backbone and the ML-Decoder, but no other head. (MMEngine compiles the whole training step,
      again for each batch, as it depends on the labels.)

    Use it with ``runner_type='PortableRunner'`` in the config. The arguments are ``Runner``'s, all
    but the first two by keyword; ``resume`` may also be ``'auto'``.
    """

    def __init__(self, model: nn.Module | dict, work_dir: str, **parts):
        self._replaces_amp = needs_fp32(parts.get('optim_wrapper'))
        super().__init__(model, work_dir, **portable_parts(parts))

    def setup_env(self, env_cfg: dict) -> None:
        if self.distributed and get_device() == 'cpu' and not is_distributed():
            init_cpu_process_group(self.launcher, env_cfg.get('dist_cfg', {}).get('timeout'))
        super().setup_env(env_cfg)
        self._timestamp = claim_timestamp(self.work_dir, self._timestamp)

    def set_randomness(
        self, seed: int | None, diff_rank_seed: bool = False, deterministic: bool = False
    ) -> None:
        super().set_randomness(seed, deterministic=deterministic)
        if diff_rank_seed:  # after the seed that is saved, which is that of all ranks
            set_random_seed(self.seed + get_rank())

    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
        self._channels_last = self.cfg.get('channels_last', False)
        if self._channels_last and get_device() == 'cpu' and not is_safe_in_channels_last(model):
            self.logger.warning(
                'channels_last is ignored: a strided 1x1 convolution has fewer than 16 channels, '
                'which some CPU libraries compute wrong in that order.'
            )
            self._channels_last = False
        if self._channels_last:  # before the wrapper, which remembers the order of the gradients
            convert_conv2d_weight_memory_format(model, torch.channels_last)
        if self.distributed and get_device() == 'cpu' and not is_model_wrapper(model):
            unused = self.cfg.get('find_unused_parameters', False)
            defaults = dict(broadcast_buffers=False, find_unused_parameters=unused)
            wrapper = dict(type='mmpretrain.CPUDistributedDataParallel')
            model_wrapper_cfg = defaults | (model_wrapper_cfg or {}) | wrapper
        return super().wrap_model(model_wrapper_cfg, model)

    @staticmethod
    def build_dataloader(
        dataloader: DataLoader | dict, seed: int | None = None, diff_rank_seed: bool = False
    ) -> DataLoader:
        if isinstance(dataloader, dict):
            dataloader = portable_loader(dataloader)
        return Runner.build_dataloader(dataloader, seed)  # all ranks share the order of the images

    def register_hooks(self, default_hooks=None, custom_hooks=None) -> None:
        # Late, as it imports MMPretrain's models: the engine is there with MMEngine's runner.
        from ..checks.start import ConfigCheckHook

        vote = RankVote()
        self._preemption = PreemptionHook(vote)
        for hook in (ClassCountsHook(), CheckpointFitHook(), ConfigCheckHook()):
            self.register_hook(hook)
        super().register_hooks(default_hooks, custom_hooks)
        for hook in self._hooks:
            if isinstance(hook, EarlyStoppingHook) and hook.priority == 'LOWEST':
                hook.priority = 'LOW'  # ahead of the checkpoint, which holds what it has counted
        self._hooks.sort(key=lambda hook: get_priority(hook.priority))
        others = (UnreadableImagesHook(), TestScalarsHook(), self._preemption)
        for hook in (FiniteLossHook(vote), ResumeHook(), *others):
            self.register_hook(hook)
        if self._channels_last:
            self.register_hook(ChannelsLastHook())

    def dump_config(self) -> None:
        """Write nothing while the runner is built, maybe for a test: :meth:`train` writes it."""

    def train(self) -> nn.Module:
        if self._replaces_amp:
            self.logger.warning('There is no GPU: training in fp32, not in mixed precision.')
        loading = explained_loading('train_dataloader', self._train_dataloader)
        with self._preemption.listen(), one_training(self), loading:
            super().dump_config()
            self.find_start()
            check_annotation_files(self.cfg, 'train', 'val')
            return super().train()

    def val(self) -> dict:
        self._drop_early_stopping()
        with explained_loading('val_dataloader', self._val_dataloader):
            check_annotation_files(self.cfg, 'val')
            return super().val()

    def test(self) -> dict:
        self._drop_early_stopping()
        with explained_loading('test_dataloader', self._test_dataloader):
            check_annotation_files(self.cfg, 'test')
            return super().test()

    def _drop_early_stopping(self) -> None:
        """Drop the hook that would build the training here, too, which all others go by."""
        self._hooks = [hook for hook in self._hooks if not isinstance(hook, EarlyStoppingHook)]

    def _init_model_weights(self) -> None:
        if self._resume:  # all come from the checkpoint; a file of `init_cfg` may be gone by now
            return
        if self._channels_last:  # random numbers fill a tensor in the order of its memory
            convert_conv2d_weight_memory_format(self.model, torch.contiguous_format)
        super()._init_model_weights()
        if self._channels_last:
            convert_conv2d_weight_memory_format(self.model, torch.channels_last)

    def _maybe_compile(self, target: str) -> None:
        options = self.cfg.get('compile')
        if options in (None, False):
            return
        model = unwrapped(self.model)
        if not hasattr(model, 'backbone'):
            raise ConfigError(
                f'compile needs a backbone, but {type(model).__name__} has none: remove compile'
            )
        decoders = [module for module in model.modules() if isinstance(module, MLDecoder)]
        for part in (model.backbone, *decoders):
            part.compile(**({} if options is True else options))
        self.logger.info('The model is compiled in the first steps, which are slow.')

    def save_checkpoint(self, *args, **kwargs) -> None:
        """Save on the main process; all ranks call this, and all raise if it cannot be done."""
        on_main_process(partial(self._save_checkpoint, *args, **kwargs))

    def _save_checkpoint(
        self, out_dir: str, filename: str, file_client_args=None, *, backend_args=None, **kwargs
    ) -> None:
        backends = dict(file_client_args=file_client_args, backend_args=backend_args)
        is_local = isinstance(get_file_backend(out_dir, backend_args=backend_args), LocalBackend)
        if file_client_args is not None or not is_local:
            super().save_checkpoint(out_dir, filename, **backends, **kwargs)
            return
        path = Path(out_dir, filename)
        try:
            with atomic_write(path) as temporary:
                super().save_checkpoint(out_dir, temporary.name, **backends, **kwargs)
        except OSError as error:
            raise RunError(
                f'{path} cannot be written: {error.strerror or error}. The earlier checkpoints '
                'are complete: make room or make the folder writable, and continue with --resume'
            ) from error
