"""Checks at the start of a run, after everything is built and before anything is computed."""

from mmengine.hooks import CheckpointHook, Hook
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper
from mmengine.runner import BaseLoop, Runner
from mmpretrain.models import ImageClassifier
from mmpretrain.registry import HOOKS

from ...errors import ConfigError
from .classes import check_classes, check_metrics, check_topk
from .config_error import warn_of_near_keys
from .dry_run import check_forward, check_labels, first_batch, quiet_evaluation, rehearse_metrics
from .training import check_batch_norms, check_clip_grad, check_hook, check_schedules, check_scores


def check_start(runner: Runner) -> None:
    """Check a runner that has built its model and the loops that it is about to run.

    Raises:
        ConfigError: For the first mistake; see :class:`ConfigCheckHook`.
    """
    for warning in warn_of_near_keys(runner.cfg):
        runner.logger.warning(warning)
    # A loop is built when its run begins; asking the runner for it would build it.
    loops = dict(train=runner._train_loop, val=runner._val_loop, test=runner._test_loop)
    loops = {name: loop for name, loop in loops.items() if isinstance(loop, BaseLoop)}
    if 'train' in loops:
        _check_training(runner, loops['train'], 'val' in loops)
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    datasets = {f'{name}_dataloader': loop.dataloader.dataset for name, loop in loops.items()}
    check_classes(model, datasets)
    check_topk(getattr(model, 'head', None))
    for name, loop in loops.items():
        if name != 'train':
            check_metrics(model, f'{name}_evaluator', loop.evaluator.metrics)
    if isinstance(model, ImageClassifier) and model.with_head:
        for name, loop in loops.items():
            _rehearse(runner, model, name, loop)


def _check_training(runner: Runner, loop: BaseLoop, validates: bool) -> None:
    if not len(loop.dataloader):
        raise ConfigError(
            f'train_dataloader gives no batch: it has {len(loop.dataloader.dataset)} images, '
            f'batch_size = {loop.dataloader.batch_size} and drop_last = '
            f'{loop.dataloader.drop_last}. Take a smaller batch, or all of the data'
        )
    if validates and getattr(loop, 'val_interval', 1) < 1:
        raise ConfigError(f'train_cfg.val_interval = {loop.val_interval}: it must be at least 1')
    for hook in runner.hooks:
        check_hook(hook)
    if isinstance(runner.optim_wrapper, OptimWrapper):
        check_clip_grad(runner.optim_wrapper)
    counts_epochs = hasattr(loop, 'run_epoch')
    if not counts_epochs and any(_saves_by_epoch(hook) for hook in runner.hooks):
        runner.logger.warning(
            'default_hooks.checkpoint.by_epoch is True, and the training counts iterations: it is '
            'saved at its end only. Set it to False, and interval to a number of iterations'
        )
    if not validates and any(getattr(hook, 'save_best', None) for hook in runner.hooks):
        runner.logger.warning(
            'There is no validation: no checkpoint is kept as the best (save_best)'
        )
    schedulers = runner.param_schedulers
    configs = runner.cfg.get('param_scheduler')
    configs = configs if isinstance(configs, list) else [configs]
    if isinstance(schedulers, list) and len(configs) == len(schedulers) and all(configs):
        in_epochs = [config.get('by_epoch', True) for config in configs]
        max_epochs = loop.max_epochs if counts_epochs else None
        for doubt in check_schedules(schedulers, in_epochs, max_epochs, loop.max_iters):
            runner.logger.warning(doubt)


def _saves_by_epoch(hook: Hook) -> bool:
    return isinstance(hook, CheckpointHook) and hook.by_epoch


def _rehearse(runner: Runner, model: ImageClassifier, name: str, loop: BaseLoop) -> None:
    batch = first_batch(f'{name}_dataloader', loop.dataloader)
    if batch is None:
        return
    with quiet_evaluation(model):
        check_labels(f'{name}_dataloader', model, batch)
        check_forward(f'{name}_dataloader', model, batch)
        if name == 'train':
            check_batch_norms(model, loop.dataloader, batch)
            return
        names = rehearse_metrics(f'{name}_evaluator', model, batch, loop.evaluator.metrics)
    if name == 'val' and names is not None:
        for hook in runner.hooks:
            check_scores(hook, names)


@HOOKS.register_module()
class ConfigCheckHook(Hook):
    """Raise :class:`ConfigError` at the start of a training or test, not after an epoch.

    Parts are compared with each other: classes of head, preprocessor and datasets; ``topk``; the
    kind of head and metric; ``save_best`` and the metric's numbers; the length of schedule and
    training. And a classifier gets one image of each loader, which shows whether channels, sizes
    and the fields that a metric reads fit. That changes nothing: the image is made under a seed
    of its own, the model is in evaluation mode, metrics are copies.

    Differences that may be meant are warnings in the log. ``check_config = False`` in the config
    leaves all of this out.

    ``PortableRunner`` adds this hook by itself.
    """

    priority = 'HIGHEST'

    def before_run(self, runner) -> None:
        if runner.cfg.get('check_config', True):
            check_start(runner)
