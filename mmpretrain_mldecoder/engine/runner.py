"""MMEngine's runner, at home on any machine and safe to kill."""

import os

from mmengine.device import get_device
from mmengine.dist import is_distributed, master_only
from mmengine.fileio import LocalBackend, get_file_backend
from mmengine.model import is_model_wrapper
from mmengine.registry import RUNNERS as MMENGINE_RUNNERS
from mmengine.runner import CheckpointLoader, Runner
from mmpretrain.registry import RUNNERS
from torch import nn
from torch.utils.data import DataLoader

from .cpu_distributed import init_cpu_process_group
from .plain_history import PlainHistoryHook
from .resume import find_resume_checkpoint


# MMPretrain's tools look `runner_type` up in MMEngine's registry, before any scope is set.
@MMENGINE_RUNNERS.register_module()
@RUNNERS.register_module()
class PortableRunner(Runner):
    """``Runner`` that also trains and tests without a GPU, and resumes after SIGKILL.

    Without a GPU: processes talk over gloo, the model is wrapped for the CPU, mixed precision is
    replaced by fp32 (with a warning), memory is not pinned. With one, all this is MMEngine's.

    Everywhere: a checkpoint is written under a temporary name and then renamed, so that a file
    under its own name is whole; it holds plain data only; ``resume`` finds the newest checkpoint
    however the run ended, and takes its random seed before the data loaders are built, so that
    the samples of the remaining epochs are those of the unbroken run, and does not read the
    weights that ``init_cfg`` names again; workers are not asked to persist where there are none;
    a test with a checkpoint that does not fit the model raises (:class:`CheckpointFitHook`).

    Use it with ``runner_type='PortableRunner'`` in the config. The arguments are ``Runner``'s.
    """

    def setup_env(self, env_cfg: dict) -> None:
        if self.distributed and get_device() == 'cpu' and not is_distributed():
            init_cpu_process_group(self.launcher, env_cfg.get('dist_cfg', {}).get('timeout'))
        super().setup_env(env_cfg)

    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
        if self.distributed and get_device() == 'cpu' and not is_model_wrapper(model):
            model_wrapper_cfg = {
                'broadcast_buffers': False,
                'find_unused_parameters': self.cfg.get('find_unused_parameters', False),
                **(model_wrapper_cfg or {}),
                'type': 'mmpretrain.CPUDistributedDataParallel',
            }
        return super().wrap_model(model_wrapper_cfg, model)

    def build_optim_wrapper(self, optim_wrapper):
        if get_device() in ('cpu', 'mps') and isinstance(optim_wrapper, dict):
            wrapper_type = optim_wrapper.get('type')
            wrapper_name = getattr(wrapper_type, '__name__', str(wrapper_type))
            if wrapper_name.rpartition('.')[2] == 'AmpOptimWrapper':
                self.logger.warning('There is no GPU: training in fp32, not in mixed precision.')
                amp_only = ('loss_scale', 'dtype', 'use_fsdp')
                kept = {k: v for k, v in optim_wrapper.items() if k not in amp_only}
                optim_wrapper = {**kept, 'type': 'OptimWrapper'}
        return super().build_optim_wrapper(optim_wrapper)

    @staticmethod
    def build_dataloader(
        dataloader: DataLoader | dict, seed: int | None = None, diff_rank_seed: bool = False
    ) -> DataLoader:
        if isinstance(dataloader, dict):
            dataloader = dataloader.copy()
            if get_device() == 'cpu':
                dataloader['pin_memory'] = False
            if not dataloader.get('num_workers'):
                dataloader['persistent_workers'] = False
        return Runner.build_dataloader(dataloader, seed, diff_rank_seed)

    def register_hooks(self, default_hooks=None, custom_hooks=None) -> None:
        self.register_hook(dict(type='mmpretrain.CheckpointFitHook'))
        super().register_hooks(default_hooks, custom_hooks)
        self.register_hook(PlainHistoryHook())

    def train(self) -> nn.Module:
        if self._resume:
            self._prepare_resume()
        return super().train()

    def _prepare_resume(self) -> None:
        if self._load_from is None:
            self._load_from = find_resume_checkpoint(self.work_dir)
        if self._load_from is None:
            self.logger.warning(f'Nothing to resume in {self.work_dir}: training starts anew.')
            self._resume = False
            return
        checkpoint = CheckpointLoader.load_checkpoint(self._load_from, map_location='cpu')
        seed = checkpoint.get('meta', {}).get('seed')
        if seed is None:
            raise ValueError(
                f'{self._load_from} is not a checkpoint of a training, so there is nothing to '
                'resume. To start a training with its weights, set load_from without resume'
            )
        if self._randomness_cfg.get('seed') not in (None, seed):
            self.logger.warning(
                f"The run goes on with the checkpoint's seed {seed}, not with that of the config, "
                f'{self._randomness_cfg["seed"]}.'
            )
        self._randomness_cfg.update(seed=seed)
        self.set_randomness(**self._randomness_cfg)

    def _init_model_weights(self) -> None:
        # All weights are about to come from the checkpoint. Reading those of `init_cfg` first
        # would only ask for a file that may be out of reach by now.
        if not self._resume:
            super()._init_model_weights()

    @master_only
    def save_checkpoint(
        self, out_dir: str, filename: str, file_client_args=None, *, backend_args=None, **kwargs
    ) -> None:
        backends = dict(file_client_args=file_client_args, backend_args=backend_args)
        is_local = isinstance(get_file_backend(out_dir, backend_args=backend_args), LocalBackend)
        if file_client_args is not None or not is_local:
            super().save_checkpoint(out_dir, filename, **backends, **kwargs)
            return
        partial = f'{filename}.tmp'
        super().save_checkpoint(out_dir, partial, **backends, **kwargs)
        os.replace(os.path.join(out_dir, partial), os.path.join(out_dir, filename))
