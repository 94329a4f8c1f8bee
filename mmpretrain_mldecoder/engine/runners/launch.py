"""Command lines of training and test: arguments, config, runner, end."""

import argparse
import ctypes
import gc
import os
import signal
from collections.abc import Sequence
from pathlib import Path

import torch
from mmengine.config import Config, DictAction
from mmengine.evaluator import BaseMetric
from mmengine.registry import RUNNERS
from mmengine.runner import Runner
from torch import distributed

from ...checkpoints.file_kinds import missing_file
from ...checkpoints.weight_sets import split_fragment
from ...errors import ConfigError, Preempted
from ..checks.config_error import merge_options, read_config, unknown_type
from .finished_test import write_finished_test
from .preemption import SIGNALS
from .resume import ResumingRunner
from .trackers import TRACKERS, add_tracker

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of malloc.h
_MOST = 2**31 - 1


class CfgOptions(DictAction):
    """``DictAction`` whose errors say what is wrong with an argument."""

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        for value in values:
            try:
                super().__call__(parser, namespace, [value], option_string)
            except (ValueError, AssertionError, RecursionError) as error:
                raise argparse.ArgumentError(
                    self,
                    f'{value!r} is not KEY=VALUE with balanced brackets; a list is "[a,b]", and of '
                    'a dict each key is set by KEY.ITS_KEY=VALUE',
                ) from error


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--cfg-options``, for a tool that loads a config and runs no runner from it."""
    parser.set_defaults(work_dir=None, launcher='none', local_rank=0, log=[])
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=CfgOptions,
        default={},
        metavar='KEY=VALUE',
        help='change the config, such as train_dataloader.batch_size=8 model.head.topk="[1,5]"',
    )


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of training and test, which are those of MMPretrain's tools."""
    add_options(parser)
    parser.add_argument('--work-dir', help='folder of logs and checkpoints')
    parser.add_argument(
        '--log',
        action='append',
        choices=TRACKERS,
        default=[],
        help='write losses and metrics to this tracker, too; may be given several times',
    )
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help='by the launcher')


def load_config(args: argparse.Namespace) -> Config:
    """Load ``args.config`` and merge the arguments of :func:`add_common_arguments`.

    ``work_dir`` is the argument, else that of the config, else ``work_dirs/<name of the config>``
    in the current folder. Data loaders get MMPretrain's defaults. ``--cfg-options`` come last.
    Raises what :func:`read_config` does, and :class:`ConfigError` if an argument does not fit.
    """
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg = read_config(args.config)
    cfg.setdefault('runner_type', 'mmpretrain.PortableRunner')
    cfg.launcher = args.launcher
    cfg.work_dir = args.work_dir or cfg.get('work_dir') or f'work_dirs/{Path(args.config).stem}'
    if '://' in cfg.work_dir:  # MMEngine would make a folder "s3:" here
        raise ConfigError(
            f'work_dir = {cfg.work_dir!r} is an address, but logs are written to a folder: name '
            'one. Checkpoints can be saved elsewhere with default_hooks.checkpoint.out_dir'
        )
    for split in ('train', 'val', 'test'):
        if loader := cfg.get(f'{split}_dataloader'):
            loader.setdefault('pin_memory', True)
            loader.setdefault('collate_fn', dict(type='default_collate'))
            loader.setdefault('persistent_workers', split != 'test')
    for tracker in args.log:
        add_tracker(cfg, tracker)
    merge_options(cfg, args.cfg_options)
    return cfg


def apply_train_arguments(cfg: Config, args: argparse.Namespace) -> None:
    """Merge ``resume``, ``amp``, ``no_validate`` and ``auto_scale_lr`` into a config.

    Raises ``FileNotFoundError`` if ``resume`` names no file, :class:`ConfigError` if the config has
    no training (its variable ``evaluate_only`` may say why), or no batch size to scale from.
    """
    if cfg.get('train_cfg') is None:
        reason = f', because {cfg.evaluate_only}' if 'evaluate_only' in cfg else ''
        raise ConfigError(f'{args.config} has no train_cfg: it is for testing only{reason}')
    if args.no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    if args.amp:
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')
    if args.auto_scale_lr:
        if 'base_batch_size' not in (cfg.get('auto_scale_lr') or {}):
            raise ConfigError(f'{args.config} has no auto_scale_lr.base_batch_size to scale from')
        cfg.auto_scale_lr.enable = True
    if args.resume == 'auto':
        cfg.resume = 'auto'
        known = RUNNERS.get(cfg.runner_type) if isinstance(cfg.runner_type, str) else None
        if known is not None and not issubclass(known, ResumingRunner):
            cfg.resume, cfg.load_from = True, None  # what means "auto" to MMEngine's runners
    elif args.resume is not None:
        _check_file(args.resume)
        cfg.resume, cfg.load_from = True, args.resume


def apply_test_arguments(cfg: Config, args: argparse.Namespace) -> None:
    """Merge ``checkpoint`` and ``weights`` into a config.

    With ``weights='ema'`` or ``'raw'`` a :class:`DualEMAHook` replaces the config's. Raises
    ``FileNotFoundError`` without the checkpoint, :class:`ConfigError` if the config has no test.
    """
    if cfg.get('test_cfg') is None:
        raise ConfigError(f'{args.config} has no test_cfg: it cannot be tested')
    _check_file(args.checkpoint)
    cfg.load_from, cfg.resume = args.checkpoint, False
    if args.weights is not None:
        others = [hook for hook in cfg.get('custom_hooks') or [] if not is_ema_hook(hook['type'])]
        chosen = dict(type='mmpretrain.DualEMAHook', test_weights=args.weights)
        cfg.custom_hooks = [*others, chosen]


def _check_file(checkpoint: str) -> None:
    path = Path(split_fragment(checkpoint)[0]).expanduser()
    if '://' not in checkpoint and not path.is_file():
        raise FileNotFoundError(missing_file(path))


def is_ema_hook(hook_type: str | type) -> bool:
    """Return whether a hook averages the weights, by its class or the name of it."""
    return getattr(hook_type, '__name__', str(hook_type)).endswith('EMAHook')


def build_runner(cfg: Config) -> Runner:
    """Build the runner that the config's ``runner_type`` names, or raise :class:`ConfigError`."""
    name = cfg.get('runner_type', 'Runner')
    if isinstance(name, str) and RUNNERS.get(name) is None:
        raise ConfigError(unknown_type('runner_type', name, 'runner'))
    keep_freed_memory()
    return RUNNERS.build(cfg)


def train(cfg: Config) -> None:
    """Train as a config says; raises :class:`Preempted` after SIGTERM or SIGUSR1."""
    runner = build_runner(cfg)
    try:
        runner.train()
    except Preempted as preempted:
        for number in SIGNALS:  # nothing is to disturb the end of the interpreter
            signal.signal(number, signal.SIG_IGN)
        preempted.__traceback__ = None  # its frames hold what end_run releases
        if preempted.all_together:
            end_run(runner)
        raise
    end_run(runner)


def test(
    cfg: Config, config: str, checkpoint: str, more_metrics: Sequence[BaseMetric] = ()
) -> dict[str, float]:
    """Test as a config says, with more metrics, and return the metrics.

    ``test_<time>.json`` names the paths ``config`` and ``checkpoint``.
    """
    runner = build_runner(cfg)
    runner.test_evaluator.metrics += more_metrics
    metrics = runner.test()
    write_finished_test(runner, cfg, config, checkpoint, metrics)
    end_run(runner)
    return metrics


def keep_freed_memory() -> None:
    """Let glibc keep freed blocks for the next ones, where computations run on the CPU.

    Activations are tens of megabytes each. By default, glibc maps such blocks for each step and
    gives them back to the kernel, which clears every page when it is touched again: a third of the
    time of a training step. The process stays as large as its largest step was. No number changes.
    With a GPU, or another C library than glibc, nothing is done.
    """
    if torch.cuda.is_available():
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(_M_MMAP_MAX, 0)
    mallopt(_M_TRIM_THRESHOLD, _MOST)


def end_run(runner: Runner) -> None:
    """End the workers of a runner's data loaders, and the process group on all ranks together.

    The end of the interpreter would kill workers, which then leave temporary folders; and threads
    of gloo could abort the process. The runner cannot be used afterwards.
    """
    has_group = distributed.is_available() and distributed.is_initialized()
    if has_group:
        distributed.barrier()
    # The collector alone would end the queues to the workers before it tells them to end.
    vars(runner).clear()
    gc.collect()  # the model, which holds the group, is part of circles
    if has_group:
        distributed.destroy_process_group()
