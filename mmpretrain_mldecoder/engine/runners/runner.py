"""MMEngine's runner, at home on any machine and safe to kill."""

import shutil
from contextlib import nullcontext
from functools import partial
from pathlib import Path

from mmengine.device import get_device
from mmengine.dist import is_distributed, master_only
from mmengine.fileio import LocalBackend, get_file_backend
from mmengine.hooks import CheckpointHook
from mmengine.model import is_model_wrapper
from mmengine.registry import RUNNERS as MMENGINE_RUNNERS
from mmengine.runner import BaseLoop, Runner
from mmpretrain.registry import RUNNERS
from torch import nn
from torch.utils.data import DataLoader

from ...errors import RunError, WorkDirInUseError
from ...fileio.atomic_write import atomic_write
from ...layers import MLDecoder
from ..checks import ConfigCheckHook, ExplainedBuilds, explained
from ..distributed.agree import RankVote, on_main_process
from ..distributed.cpu_distributed import init_cpu_process_group
from ..hooks.channels_last import (
    ChannelsLastHook,
    convert_to_channels_last,
    in_default_order,
    is_safe_in_channels_last,
)
from ..hooks.checkpoint_hook import PlainHistoryHook
from ..hooks.finite_loss_hook import FiniteLossHook
from ..hooks.unreadable_images import UnreadableImagesHook, explained_unreadable
from ..optimizers.skipping_optim_wrapper import skipping
from .loops import LoopStateHook, ResumableEpochLoop, ResumableIterLoop
from .preemption import PreemptionHook
from .resume import ResumingRunner
from .work_dir import claim_timestamp, one_training
from .workers import check_worker_sockets, explained_worker_loss

_MMENGINE_CHECKPOINT_HOOK = ('CheckpointHook', 'mmengine.CheckpointHook', CheckpointHook)


# MMPretrain's tools look `runner_type` up in MMEngine's registry, before any scope is set.
@MMENGINE_RUNNERS.register_module()
@RUNNERS.register_module()
class PortableRunner(ExplainedBuilds, ResumingRunner):
    """``Runner`` that also trains and tests without a GPU, and resumes after SIGKILL.

    Without a GPU: processes talk over gloo, the model is wrapped for the CPU, mixed precision is
    replaced by fp32 (with a warning), memory is not pinned. With one, all this is MMEngine's.

    Everywhere: a checkpoint is written under a temporary name and then renamed, so that a file
    under its own name is whole; no checkpoint is removed before the next one is there
    (:class:`DurableCheckpointHook` in the place of ``CheckpointHook``); it holds plain data only;
    ``resume`` finds the newest whole checkpoint however the run ended, and takes its random seed
    before the data loaders are built, so that the samples of the remaining epochs are those of the
    unbroken run, and does not read the weights that ``init_cfg`` names again; workers are not asked
    to persist where there are none; a test with a checkpoint that does not fit the model raises
    (:class:`CheckpointFitHook`); a mistake in the config raises at the start, with its key and
    value (:class:`ConfigCheckHook`).

    One training at a time works in a folder (:func:`one_training`), and only a training writes its
    config beside the checkpoints. Each run has a second of its own for its logs. A loss that is not
    finite ends the training (:class:`FiniteLossHook`; with ``optim_wrapper.max_skips`` some steps
    are left out instead), and an error says so where a worker of a data loader is gone.

    Two keys of the config make a step faster; without them nothing is done:

    - ``channels_last = True``: 2-D convolutions work in channels-last order, in training and in
      tests. Results agree within rounding; checkpoints are the same (:class:`ChannelsLastHook`).
    - ``compile = True``, or a dict of arguments of ``torch.compile``: a training compiles the
      backbone and the ML-Decoder, names of weights stay; another head stays as it is.
      MMEngine compiles the whole training step instead, anew for each batch, as the numbers of
      labels of its images are part of what it compiles.

    Use it with ``runner_type='PortableRunner'`` in the config. The arguments are ``Runner``'s.
    """

    def setup_env(self, env_cfg: dict) -> None:
        if self.distributed and get_device() == 'cpu' and not is_distributed():
            init_cpu_process_group(self.launcher, env_cfg.get('dist_cfg', {}).get('timeout'))
        super().setup_env(env_cfg)
        self._timestamp = claim_timestamp(self.work_dir, self._timestamp)

    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
        self._channels_last = self.cfg.get('channels_last', False)
        if self._channels_last and get_device() == 'cpu' and not is_safe_in_channels_last(model):
            self.logger.warning(
                'channels_last is left out: a strided 1x1 convolution has fewer than 16 channels, '
                'which some CPU libraries compute wrong in that order.'
            )
            self._channels_last = False
        if self._channels_last:
            # Ahead of the wrapper, which remembers the order of the gradients.
            convert_to_channels_last(model)
        if self.distributed and get_device() == 'cpu' and not is_model_wrapper(model):
            model_wrapper_cfg = {
                'broadcast_buffers': False,
                'find_unused_parameters': self.cfg.get('find_unused_parameters', False),
                **(model_wrapper_cfg or {}),
                'type': 'mmpretrain.CPUDistributedDataParallel',
            }
        return super().wrap_model(model_wrapper_cfg, model)

    def dump_config(self) -> None:
        """Leave the work folder as it is while the runner is built: it may be there to test.

        The config beside the checkpoints is that of their training, and :meth:`train` writes it.
        The config of each run is in the folder of its log, by the visualizer.
        """

    def build_optim_wrapper(self, optim_wrapper):
        if get_device() in ('cpu', 'mps') and isinstance(optim_wrapper, dict):
            wrapper_type = optim_wrapper.get('type')
            wrapper_name = getattr(wrapper_type, '__name__', str(wrapper_type))
            if wrapper_name.rpartition('.')[2] == 'AmpOptimWrapper':
                self.logger.warning('There is no GPU: training in fp32, not in mixed precision.')
                amp_only = ('loss_scale', 'dtype', 'use_fsdp')
                kept = {k: v for k, v in optim_wrapper.items() if k not in amp_only}
                optim_wrapper = {**kept, 'type': 'OptimWrapper'}
        if isinstance(optim_wrapper, dict) and optim_wrapper.get('max_skips') is not None:
            optim_wrapper = skipping(optim_wrapper)
        return super().build_optim_wrapper(optim_wrapper)

    @staticmethod
    def build_dataloader(
        dataloader: DataLoader | dict, seed: int | None = None, diff_rank_seed: bool = False
    ) -> DataLoader:
        if isinstance(dataloader, dict):
            dataloader = dataloader.copy()
            if get_device() == 'cpu':
                dataloader['pin_memory'] = False
            if dataloader.get('num_workers'):
                check_worker_sockets()
            else:
                dataloader['persistent_workers'] = False
        return Runner.build_dataloader(dataloader, seed, diff_rank_seed)

    def register_hooks(self, default_hooks=None, custom_hooks=None) -> None:
        self.register_hook(dict(type='mmpretrain.CheckpointFitHook'))
        self.register_hook(ConfigCheckHook())
        super().register_hooks(default_hooks, custom_hooks)
        self.register_hook(PlainHistoryHook())
        vote = RankVote()
        self.register_hook(FiniteLossHook(vote))
        self.register_hook(LoopStateHook())
        self.register_hook(UnreadableImagesHook())
        self._preemption = PreemptionHook(vote)
        self.register_hook(self._preemption)
        if self._channels_last:
            self.register_hook(ChannelsLastHook())

    def register_default_hooks(self, hooks: dict | None = None) -> None:
        hooks = dict(hooks or {})
        checkpoint = hooks.setdefault('checkpoint', dict(type='CheckpointHook', interval=1))
        if isinstance(checkpoint, dict) and checkpoint.get('type') in _MMENGINE_CHECKPOINT_HOOK:
            hooks['checkpoint'] = {**checkpoint, 'type': 'mmpretrain.DurableCheckpointHook'}
        super().register_default_hooks(hooks)

    def build_train_loop(self, loop: BaseLoop | dict) -> BaseLoop:
        if isinstance(loop, dict) and 'type' not in loop and 'by_epoch' in loop:
            arguments = {key: value for key, value in loop.items() if key != 'by_epoch'}
            loop_type = ResumableEpochLoop if loop['by_epoch'] else ResumableIterLoop
            with explained(self.cfg, 'train_dataloader', 'train_cfg'):
                return loop_type(**arguments, runner=self, dataloader=self._train_dataloader)
        return super().build_train_loop(loop)

    def train(self) -> nn.Module:
        try:
            return self._train_alone()
        except WorkDirInUseError:
            self._remove_log()
            raise

    def _train_alone(self) -> nn.Module:
        with self._preemption.listen(), one_training(self.work_dir) as is_guarded:
            super().dump_config()
            if not is_guarded:
                self.logger.warning(
                    f'The file system of {self.work_dir} has no locks: nothing keeps a second '
                    'training out of this folder.'
                )
            self.find_start()
            worker_loss = explained_worker_loss('train_dataloader', self._train_dataloader)
            with worker_loss, explained_unreadable():
                return super().train()

    def val(self) -> dict:
        worker_loss = explained_worker_loss('val_dataloader', self._val_dataloader)
        with worker_loss, explained_unreadable():
            return super().val()

    def test(self) -> dict:
        worker_loss = explained_worker_loss('test_dataloader', self._test_dataloader)
        with worker_loss, explained_unreadable():
            return super().test()

    @master_only
    def _remove_log(self) -> None:
        # of a run that did nothing, in the folder of another one
        shutil.rmtree(self.log_dir, ignore_errors=True)

    def _init_model_weights(self) -> None:
        # All weights are about to come from the checkpoint. Reading those of `init_cfg` first
        # would only ask for a file that may be out of reach by now.
        if self._resume:
            return
        with in_default_order(self.model) if self._channels_last else nullcontext():
            super()._init_model_weights()

    def _maybe_compile(self, target: str) -> None:
        options = self.cfg.get('compile')
        if not options and options != {}:
            return
        model = self.model.module if is_model_wrapper(self.model) else self.model
        if not hasattr(model, 'backbone'):
            raise ValueError(
                f'compile needs a backbone, but {type(model).__name__} has none: leave compile out'
            )
        decoders = [module for module in model.modules() if isinstance(module, MLDecoder)]
        for part in (model.backbone, *decoders):
            part.compile(**({} if options is True else options))
        self.logger.info('The model is compiled in the first steps, which are slow.')

    def save_checkpoint(self, *args, **kwargs) -> None:
        """Save in the first process; all processes call this, and all end if it cannot be done."""
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
                f'{path} cannot be written: {error.strerror or error}. The checkpoints of before '
                'are whole: make room or make the folder writable, and go on with --resume'
            ) from error
