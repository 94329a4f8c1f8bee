"""Rewrites of a config, so that it runs without a GPU too and its training can be resumed."""

import copy
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby

from mmengine.dataset import default_collate, pseudo_collate
from mmengine.device import get_device
from mmengine.hooks import CheckpointHook
from mmengine.runner import TestLoop, ValLoop

from ..checks.config_error import nested_dicts
from ..hooks.checkpoint_hook import DurableCheckpointHook
from ..optimizers import skipping
from .loading import check_worker_sockets
from .loops import ResumableEpochLoop, ResumableIterLoop

_COLLATES = dict(default_collate=default_collate, pseudo_collate=pseudo_collate)


def portable_parts(parts: Mapping) -> dict:
    """Return the arguments of a runner with the classes that this machine and a resume need.

    - ``CheckpointHook`` becomes :class:`DurableCheckpointHook`.
    - ``train_cfg.by_epoch`` chooses :class:`ResumableEpochLoop` or :class:`ResumableIterLoop`.
    - ``val_cfg`` and ``test_cfg`` without a type choose loops that pad no image.
    - ``optim_wrapper.max_skips`` chooses a wrapper that knows it.
    - Without a GPU, ``AmpOptimWrapper`` becomes ``OptimWrapper``.
    """
    parts = dict(parts)
    hooks = parts['default_hooks'] = dict(parts.get('default_hooks') or {})
    checkpoint = hooks.setdefault('checkpoint', dict(type='CheckpointHook', interval=1))
    plain = ('CheckpointHook', 'mmengine.CheckpointHook', CheckpointHook)
    if isinstance(checkpoint, dict) and checkpoint.get('type') in plain:
        hooks['checkpoint'] = {**checkpoint, 'type': DurableCheckpointHook}
    loop = parts.get('train_cfg')
    if isinstance(loop, dict) and 'type' not in loop and 'by_epoch' in loop:
        loop_type = ResumableEpochLoop if loop['by_epoch'] else ResumableIterLoop
        arguments = {key: value for key, value in loop.items() if key != 'by_epoch'}
        parts['train_cfg'] = {**arguments, 'type': loop_type}
    for split, loop_type in dict(val=BySizeValLoop, test=BySizeTestLoop).items():
        loop, loader = parts.get(f'{split}_cfg'), parts.get(f'{split}_dataloader')
        if isinstance(loop, dict) and isinstance(loader, dict) and 'type' not in loop:
            parts[f'{split}_cfg'] = {**loop, 'type': loop_type}
            collate = loader.get('collate_fn', dict(type='pseudo_collate'))  # as in MMEngine
            collate = collate.get('type') if isinstance(collate, dict) else collate
            collate = _COLLATES.get(collate, collate)
            if collate in _COLLATES.values():
                by_size = dict(type=collate_by_size, collate=collate)
                parts[f'{split}_dataloader'] = {**loader, 'collate_fn': by_size}
    wrapper = parts.get('optim_wrapper')
    if needs_fp32(wrapper):
        amp_only = ('loss_scale', 'dtype', 'use_fsdp')
        wrapper = {key: value for key, value in wrapper.items() if key not in amp_only}
        wrapper['type'] = 'OptimWrapper'
    if isinstance(wrapper, dict) and wrapper.get('max_skips') is not None:
        wrapper = skipping(wrapper)
    return parts | dict(optim_wrapper=wrapper)


def needs_fp32(optim_wrapper: object) -> bool:
    """Return whether mixed precision is asked for on a machine without a GPU."""
    kind = optim_wrapper.get('type') if isinstance(optim_wrapper, dict) else None
    name = getattr(kind, '__name__', str(kind)).rpartition('.')[2]
    return name == 'AmpOptimWrapper' and get_device() in ('cpu', 'mps')


def portable_loader(loader: dict) -> dict:
    """Return the config of a data loader without what needs a GPU or worker processes.

    ``VOC`` becomes :class:`SeededVOC`, and a dataset that ``SeededSampler`` samples is seeded.
    """
    # Late, as it imports MMPretrain's datasets: the engine is there with MMEngine's runner.
    from mmpretrain.datasets import VOC
    from mmpretrain.registry import DATA_SAMPLERS

    from ...datasets.seeded_datasets import SeededVOC
    from ...datasets.seeded_sampler import SeededSampler, build_seeded_dataset

    loader = loader.copy()
    if isinstance(loader.get('dataset'), dict):
        dataset = copy.deepcopy(loader['dataset'])
        for _, part in nested_dicts(dataset, ''):
            if part.get('type') in ('VOC', 'mmpretrain.VOC', VOC):
                part['type'] = SeededVOC
        kind = (loader.get('sampler') or {}).get('type')
        kind = DATA_SAMPLERS.get(kind) if isinstance(kind, str) else kind
        if isinstance(kind, type) and issubclass(kind, SeededSampler):
            dataset = dict(type=build_seeded_dataset, dataset=dataset)
        loader['dataset'] = dataset
    if get_device() == 'cpu':
        loader['pin_memory'] = False
    if loader.get('num_workers'):
        check_worker_sockets()
    else:
        loader['persistent_workers'] = False
    return loader


class _BySize:
    """Mixin over a loop whose loader has :func:`collate_by_size`: it runs the parts one by one."""

    def run_iter(self, idx, data_batch) -> None:
        for part in data_batch if isinstance(data_batch, Parts) else [data_batch]:
            super().run_iter(idx, part)


class BySizeValLoop(_BySize, ValLoop):
    """``ValLoop`` whose metrics do not depend on the batch size."""


class BySizeTestLoop(_BySize, TestLoop):
    """``TestLoop`` whose metrics do not depend on the batch size."""

    __test__ = False  # for pytest


class Parts(list):
    """A batch in parts, each of neighbours of one size."""


def collate_by_size(samples: Sequence[dict], collate: Callable = default_collate) -> object:
    """Collate neighbours of one size together; return one batch, or :class:`Parts`.

    The host's preprocessor pads a list of images to the largest: scores, and with them the metrics,
    would depend on the batch size. A sample may be several views of an image.
    """
    parts = Parts(collate(list(group)) for _, group in groupby(samples, _sizes))
    return parts if len(parts) > 1 else parts[0]


def _sizes(sample: object) -> list:
    inputs = sample.get('inputs') if isinstance(sample, dict) else None
    views = inputs if isinstance(inputs, list | tuple) else [inputs]
    return [getattr(view, 'shape', None) for view in views]
