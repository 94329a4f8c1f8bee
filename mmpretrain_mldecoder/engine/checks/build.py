"""Checks of a config before and while a runner is built from it."""

import functools
import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping

from mmengine import registry as roots
from mmengine.dist import is_main_process
from mmengine.registry import Registry
from mmengine.runner import Runner
from mmengine.visualization.vis_backend import BaseVisBackend
from mmpretrain import registry as host

from ...errors import ConfigError, ConfigFileNotFoundError
from ...fileio.near_names import near_names
from ...fileio.terminal import one_line
from .config_error import explained, nested_dicts, unknown_type

_DEFAULT_HOOKS = (
    *('runtime_info', 'timer', 'sampler_seed', 'logger', 'param_scheduler', 'checkpoint'),
)
# Steps of building a runner, and the keys of the config that each uses.
_STEPS = dict(
    setup_env=('env_cfg',),
    build_log_processor=('log_processor',),
    set_randomness=('randomness',),
    register_hooks=('default_hooks', 'custom_hooks'),
    build_train_loop=('train_dataloader', 'train_cfg'),
    build_val_loop=('val_dataloader', 'val_cfg'),
    build_test_loop=('test_dataloader', 'test_cfg'),
    build_evaluator=('val_evaluator', 'test_evaluator'),
    build_optim_wrapper=('optim_wrapper',),
    build_param_scheduler=('param_scheduler',),
    _init_model_weights=('model',),
    load_or_resume=('load_from',),
)


class ExplainedBuilds:
    """Mixin over ``Runner``: what it builds from a config raises :class:`ConfigError`.

    All types are looked up before the first part is built, so a wrong name in the metric does not
    wait until the data is read.
    """

    @classmethod
    def from_cfg(cls, cfg):
        check_parts(cfg)
        return super().from_cfg(cfg)

    def build_visualizer(self, visualizer=None):
        with explained(self.cfg, 'visualizer'):
            built = super().build_visualizer(visualizer)
        if is_main_process():  # as MMEngine does next
            for name, backend in built._vis_backends.items():
                _start_backend(name, backend)
        return built

    def build_model(self, model):
        check_type_names(self.cfg)
        with explained(self.cfg, 'model', 'data_preprocessor'):
            return super().build_model(model)


def _explained_step(name: str, sections: tuple[str, ...]) -> Callable:
    @functools.wraps(getattr(Runner, name))
    def step(self, *args, **kwargs):
        with explained(self.cfg, *sections):
            return getattr(super(ExplainedBuilds, self), name)(*args, **kwargs)

    return step


for _name, _sections in _STEPS.items():
    setattr(ExplainedBuilds, _name, _explained_step(_name, _sections))


def _start_backend(name: str, backend: BaseVisBackend) -> None:
    try:
        _ = backend.experiment
    except OSError:
        raise
    except Exception as error:  # of another program's package
        raise ConfigError(
            f'visualizer.vis_backends: {name} cannot start: {type(error).__name__}: '
            f'{one_line(error)}. Follow that, or remove {type(backend).__name__}'
        ) from error


def check_parts(cfg: Mapping) -> None:
    """Raise if a training, validation or test lacks a part, or the training's kind is ambiguous.

    And for a log level that is none, which MMEngine's runner does not explain.
    """
    level = cfg.get('log_level')
    if isinstance(level, str) and not isinstance(logging.getLevelName(level), int):
        raise ConfigError(f'log_level = {level!r}: it must be DEBUG, INFO, WARNING or ERROR')
    if cfg.get('model') is None:
        raise ConfigError('model is missing or None')
    for split in ('train', 'val', 'test'):
        judge = 'optim_wrapper' if split == 'train' else f'{split}_evaluator'
        parts = (f'{split}_dataloader', f'{split}_cfg', judge)
        absent = [key for key in parts if cfg.get(key) is None]
        if absent and len(absent) < len(parts):
            given = [key for key in parts if key not in absent]
            raise ConfigError(
                f'{" and ".join(absent)} is missing or None, but the config has '
                f'{" and ".join(given)}: give all of {", ".join(parts)}, or set all to None'
            )
    train_cfg = cfg.get('train_cfg') or {}
    by_epoch = train_cfg.get('by_epoch', True)
    if 'by_epoch' in train_cfg and 'type' in train_cfg:
        raise ConfigError(
            f'train_cfg has type = {train_cfg["type"]!r} and by_epoch = {by_epoch!r}: give '
            'by_epoch without type, or a loop of your own without by_epoch'
        )
    if not isinstance(by_epoch, bool):
        raise ConfigError(
            f'train_cfg.by_epoch = {by_epoch!r}: it must be True (max_epochs) or False (max_iters)'
        )


def check_annotation_files(cfg: Mapping, *splits: str) -> None:
    """Raise if an annotation file of ``COCOMultiLabel`` is missing that the splits will read."""
    for path, part, registry in _parts(cfg):
        if registry != 'DATASETS' or not path.startswith(tuple(f'{name}_' for name in splits)):
            continue
        kind, ann_file, root = map(part.get, ('type', 'ann_file', 'data_root'))
        is_ours = getattr(kind, '__name__', str(kind)).rpartition('.')[2] == 'COCOMultiLabel'
        file = os.path.join(root or '', str(ann_file))
        if is_ours and ann_file and '://' not in file and not os.path.isfile(file):
            raise ConfigFileNotFoundError(
                f'{path}.ann_file = {ann_file!r}: no file {file}. Correct it, or '
                f'{path}.data_root (now {root!r}), with which it is joined unless absolute'
            )


def check_type_names(cfg: Mapping) -> None:
    """Raise if a type that runner, classifier, datasets or evaluator build is registered nowhere.

    Deeper ones, such as those of a normalisation layer, are found when they are built.
    """
    for name, hook in (cfg.get('default_hooks') or {}).items():
        if isinstance(hook, Mapping) and 'type' not in hook and name not in _DEFAULT_HOOKS:
            raise ConfigError(
                f'default_hooks.{name} = {dict(hook)}: no default hook of that name'
                f'{near_names(name, _DEFAULT_HOOKS)}. Correct it, or give another hook its type'
            )
    for path, part, registry in _parts(cfg):
        key = 'constructor' if 'CONSTRUCTOR' in registry else 'type'
        name = part.get(key)
        if isinstance(name, str) and not _is_known(registry, name, part.get('_scope_')):
            raise ConfigError(unknown_type(f'{path}.{key}', name, _registries(registry)[-1].name))


def _is_known(registry: str, name: str, scope: str | None) -> bool:
    """Look a name up as the host does, in the default scope and in MMPretrain's."""
    if registry == 'FUNCTIONS':  # has no scopes
        return roots.FUNCTIONS.get(name) is not None
    for each in _registries(registry):
        with each.switch_scope_and_registry(scope) as scoped:
            if scoped.get(name) is not None:
                return True
    return False


def _registries(name: str) -> list[Registry]:
    return [getattr(module, name) for module in (roots, host) if hasattr(module, name)]


# Where a config has types -> the registry that they are built from.
_DATASET = r'(train|val|test)_dataloader(\.dataset|\.datasets\.\d+)+'
_PLACES = {
    r'model': 'MODELS',
    r'model\.(backbone|neck|head|data_preprocessor)(\.\d+)?': 'MODELS',
    r'model\.head\.loss': 'MODELS',
    r'(default_hooks|custom_hooks)\.\w+': 'HOOKS',
    r'optim_wrapper': 'OPTIM_WRAPPERS',
    r'optim_wrapper\b': 'OPTIM_WRAPPER_CONSTRUCTORS',  # the same place, for its key `constructor`
    r'optim_wrapper\.optimizer': 'OPTIMIZERS',
    r'param_scheduler(\.\d+)?': 'PARAM_SCHEDULERS',
    r'(train|val|test)_cfg': 'LOOPS',
    r'(train|val|test)_dataloader\.(batch_)?sampler': 'DATA_SAMPLERS',
    r'(train|val|test)_dataloader\.collate_fn': 'FUNCTIONS',
    _DATASET: 'DATASETS',
    rf'{_DATASET}\.pipeline(\.\d+)?': 'TRANSFORMS',
    r'(val|test)_evaluator': 'EVALUATORS',
    r'(val|test)_evaluator(\.metrics)?(\.\d+)?': 'METRICS',
}


def _parts(cfg: Mapping) -> Iterator[tuple[str, Mapping, str]]:
    """Yield each dict with a type: its place, itself, and the registry that builds it."""
    for key in cfg:
        for path, part in nested_dicts(cfg[key], key):
            for pattern, registry in _PLACES.items():
                is_evaluator = path.endswith('_evaluator') and 'metrics' in part
                if re.fullmatch(pattern, path) and is_evaluator == (registry == 'EVALUATORS'):
                    yield path, part, registry
