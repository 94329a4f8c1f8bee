"""What the train and test tools share: arguments, config, runner."""

import argparse
import gc
import os
import signal
import traceback
from pathlib import Path

import torch.distributed as dist
from mmengine.config import Config, ConfigDict, DictAction
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from ...checkpoints.resume import find_damage, find_resume_checkpoint
from ...errors import ConfigError, Preempted
from ..checks import check_option, unknown_type
from .preemption import SIGNALS


class CfgOptions(DictAction):
    """``DictAction`` that says what is wrong with an argument, instead of a traceback."""

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


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of both tools, as MMPretrain's own tools have them."""
    parser.add_argument('--work-dir', help='folder of logs and checkpoints')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=CfgOptions,
        default={},
        metavar='KEY=VALUE',
        help='change the config, such as train_dataloader.batch_size=8 model.head.topk="[1,5]"',
    )
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help='by the launcher')


def load_config(args: argparse.Namespace) -> Config:
    """Read ``args.config`` and merge the arguments that both tools have.

    ``work_dir`` is the argument, else that of the config, else ``work_dirs/<name of the config>``
    below the current folder. Data loaders get MMPretrain's defaults. ``--cfg-options`` come last.

    Args:
        args (Namespace): With ``config``, and what :func:`add_common_arguments` adds.

    Raises:
        FileNotFoundError: If there is no such config.
        ValueError: If the config raises an error, or if an option cannot be merged into it, names
            a key that nothing reads, or puts a nonsense value into one (:func:`check_option`).
    """
    path = Path(args.config)
    if not path.is_file():
        raise FileNotFoundError(f'no config at {path}')
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    try:
        cfg = Config.fromfile(path)
    except Exception as error:  # a config is Python, and may raise anything
        text = ' '.join(str(error).split()).partition(', the current sys.path is')[0]
        text = text or 'what a config imports cannot be computed with, the host reads it lazily'
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if Path(frame.filename).name == path.name]
        where = f'{path}, line {lines[-1]},' if lines else path
        raise ConfigError(f'{where} cannot be read: {type(error).__name__}: {text}') from error
    cfg.setdefault('runner_type', 'mmpretrain.PortableRunner')
    cfg.launcher = args.launcher
    cfg.work_dir = args.work_dir or cfg.get('work_dir') or str(Path('work_dirs', path.stem))
    if '://' in cfg.work_dir:  # the host would make a folder "s3:" here
        raise ConfigError(
            f'work_dir = {cfg.work_dir!r} is an address, and logs are written to a folder: name '
            'one. Checkpoints can go elsewhere with default_hooks.checkpoint.out_dir'
        )
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        if cfg.get(name) is not None:
            defaults = ConfigDict(pin_memory=True, collate_fn=dict(type='default_collate'))
            defaults.persistent_workers = name != 'test_dataloader'
            defaults.update(cfg[name])
            cfg[name] = defaults
    for key, value in args.cfg_options.items():
        check_option(cfg, key, value)
        try:
            cfg.merge_from_dict({key: value})
        except (TypeError, KeyError, ValueError, AssertionError) as error:
            raise ValueError(
                f'--cfg-options {key}={value} does not fit the config: {error}'
            ) from error
    return cfg


def apply_train_arguments(cfg: Config, args: argparse.Namespace) -> None:
    """Merge ``resume``, ``amp``, ``no_validate`` and ``auto_scale_lr`` into a config.

    ``resume='auto'`` goes on from the newest checkpoint of the work folder. If there is none the
    training starts as the config says, ``load_from`` included. A config without training may say
    why in a variable ``evaluate_only``.

    Raises:
        FileNotFoundError: If ``resume`` names a file that is not there.
        ValueError: If the config has no training, or no batch size to scale the rate from; if the
            checkpoint to resume is damaged, with ``'auto'`` if all are.
    """
    if cfg.get('train_cfg') is None:
        reason = f', because {cfg.evaluate_only}' if 'evaluate_only' in cfg else ''
        raise ValueError(f'{args.config} has no train_cfg: it is for testing only{reason}')
    if args.no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    if args.amp:
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')
    if args.auto_scale_lr:
        if 'base_batch_size' not in (cfg.get('auto_scale_lr') or {}):
            raise ValueError(f'{args.config} has no auto_scale_lr.base_batch_size to scale from')
        cfg.auto_scale_lr.enable = True
    checkpoint = find_resume_checkpoint(cfg.work_dir) if args.resume == 'auto' else args.resume
    if checkpoint is not None:
        if '://' not in checkpoint and not Path(checkpoint).is_file():
            raise FileNotFoundError(f'no checkpoint at {checkpoint}')
        if args.resume != 'auto' and '://' not in checkpoint:
            damage = find_damage(checkpoint)
            if damage is not None:
                raise ValueError(f'{damage}. Name another checkpoint')
        cfg.resume, cfg.load_from = True, checkpoint
    elif args.resume == 'auto':
        print(f'Nothing to resume in {cfg.work_dir}: training starts anew.')


def apply_test_arguments(cfg: Config, args: argparse.Namespace) -> None:
    """Merge ``checkpoint`` and ``weights`` into a config.

    With ``weights='ema'`` or ``'raw'`` a :class:`DualEMAHook` takes the place of the config's.

    Raises:
        FileNotFoundError: If the checkpoint is not there.
        ValueError: If the config has no test.
    """
    if cfg.get('test_cfg') is None:
        raise ValueError(f'{args.config} has no test_cfg: it cannot be tested')
    if '://' not in args.checkpoint and not Path(args.checkpoint).is_file():
        raise FileNotFoundError(f'no checkpoint at {args.checkpoint}')
    cfg.load_from, cfg.resume = args.checkpoint, False
    if args.weights is not None:
        others = [hook for hook in cfg.get('custom_hooks') or [] if not is_ema_hook(hook['type'])]
        chosen = dict(type='mmpretrain.DualEMAHook', test_weights=args.weights)
        cfg.custom_hooks = [*others, chosen]


def is_ema_hook(hook_type: str | type) -> bool:
    """Return whether the type of a hook, by name or itself, is a moving average's."""
    return getattr(hook_type, '__name__', str(hook_type)).endswith('EMAHook')


def build_runner(cfg: Config) -> Runner:
    """Build the runner that the config's ``runner_type`` names.

    Raises:
        ValueError: If there is none of that name.
    """
    name = cfg.get('runner_type', 'Runner')
    if isinstance(name, str) and RUNNERS.get(name) is None:
        raise ConfigError(unknown_type('runner_type', name, 'runner'))
    return RUNNERS.build(cfg)


def train(cfg: Config) -> None:
    """Train as a config says, in this process or in one of several.

    Raises:
        Preempted: After SIGTERM or SIGUSR1, which ends the tool with status 75.
    """
    runner = build_runner(cfg)
    try:
        runner.train()
    except Preempted as preempted:
        for number in SIGNALS:  # the end of the interpreter is not to be disturbed
            signal.signal(number, signal.SIG_IGN)
        preempted.__traceback__ = None  # its frames hold what end_run lets go
        if preempted.all_together:
            end_run(runner)
        raise
    end_run(runner)


def end_run(runner: Runner) -> None:
    """End the workers of a runner's data loaders, and leave the group of processes together.

    A worker that is still there when the interpreter ends is killed by it, and leaves a folder in
    the system's temporary one. A thread of gloo that asks for Python by then aborts the process; it
    ends with the last that holds the group, as the model does.

    Args:
        runner (Runner): It cannot be used any more.
    """
    has_group = dist.is_available() and dist.is_initialized()
    if has_group:
        dist.barrier()
    # Not left to the collector, which ends the queues by which workers are told before it tells.
    vars(runner).clear()
    gc.collect()  # the model is part of circles
    if has_group:
        dist.destroy_process_group()
