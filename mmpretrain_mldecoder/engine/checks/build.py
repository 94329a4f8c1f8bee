"""Checks of type names and required parts while a runner is built."""

import os
from collections.abc import Iterator, Mapping

from mmengine import registry as roots
from mmengine.evaluator import Evaluator
from mmengine.registry import Registry
from mmengine.runner import BaseLoop
from mmpretrain import registry as host

from ...errors import ConfigError, ConfigFileNotFoundError
from .config_error import explained, near_names, type_mistake

_DEFAULT_HOOKS = (
    *('runtime_info', 'timer', 'sampler_seed', 'logger', 'param_scheduler', 'checkpoint'),
)
# A part of a config, the registry from which it is built, and what may be in it.
_Part = tuple[str, object, str]


def check_type_names(cfg: Mapping) -> None:
    """Raise if a type in a config is registered nowhere.

    Looked at are the places that runner, classifier, datasets and evaluator build from; types that
    are deeper, such as those of a normalisation layer, are found when they are built.

    Args:
        cfg (Mapping): A whole config, whose ``custom_imports`` were imported.

    Raises:
        ConfigError: For the first that is wrong.
    """
    for path, part, registry in _parts(cfg):
        name = part.get('type') if isinstance(part, Mapping) else part
        if isinstance(name, str) and not _is_known(registry, name, part):
            kind = getattr(host, registry, getattr(roots, registry)).name
            place = f'{path}.type' if isinstance(part, Mapping) else path
            raise ConfigError(type_mistake(place, name, kind, _names(registry)))


def check_annotation_files(cfg: Mapping, *splits: str) -> None:
    """Raise if an annotation file does not exist that a run is about to read.

    Args:
        cfg (Mapping): A whole config.
        *splits (str): Of ``'train'``, ``'val'`` and ``'test'``, those that run.

    Raises:
        ConfigFileNotFoundError: For the first that is missing.
    """
    for name in (f'{split}_dataloader' for split in splits):
        for path, dataset, registry in _loader_parts(name, cfg.get(name) or {}):
            if registry == 'DATASETS':
                _check_annotation_file(path, dataset)


def _parts(cfg: Mapping) -> Iterator[_Part]:
    yield from _model_parts(cfg.get('model'))
    hooks = cfg.get('default_hooks') or {}
    for name, hook in hooks.items():
        if isinstance(hook, Mapping) and 'type' not in hook and name not in _DEFAULT_HOOKS:
            raise ConfigError(
                f'default_hooks.{name} = {dict(hook)}: no default hook of that name'
                f'{near_names(name, _DEFAULT_HOOKS)}. Correct it, or give a hook more its type'
            )
        yield f'default_hooks.{name}', hook, 'HOOKS'
    yield from _listed('custom_hooks', cfg.get('custom_hooks'), 'HOOKS')
    optim = cfg.get('optim_wrapper')
    if isinstance(optim, Mapping) and 'optimizer' in optim:
        yield 'optim_wrapper', optim, 'OPTIM_WRAPPERS'
        yield 'optim_wrapper.optimizer', optim['optimizer'], 'OPTIMIZERS'
        yield 'optim_wrapper.constructor', optim.get('constructor'), 'OPTIM_WRAPPER_CONSTRUCTORS'
    yield from _listed('param_scheduler', cfg.get('param_scheduler'), 'PARAM_SCHEDULERS')
    for split in ('train', 'val', 'test'):
        yield f'{split}_cfg', cfg.get(f'{split}_cfg') or {}, 'LOOPS'
        yield from _loader_parts(f'{split}_dataloader', cfg.get(f'{split}_dataloader') or {})
    for name in ('val_evaluator', 'test_evaluator'):
        evaluator = cfg.get(name)
        if isinstance(evaluator, Mapping) and 'metrics' in evaluator:
            yield name, evaluator, 'EVALUATORS'
            name, evaluator = f'{name}.metrics', evaluator['metrics']
        yield from _listed(name, evaluator, 'METRICS')


def _model_parts(model: object) -> Iterator[_Part]:
    if not isinstance(model, Mapping):
        return
    yield 'model', model, 'MODELS'
    for name in ('backbone', 'neck', 'head', 'data_preprocessor'):
        yield from _listed(f'model.{name}', model.get(name), 'MODELS')
    head = model.get('head')
    if isinstance(head, Mapping):
        yield 'model.head.loss', head.get('loss') or {}, 'MODELS'


def _loader_parts(path: str, loader: Mapping) -> Iterator[_Part]:
    if not isinstance(loader, Mapping):
        return
    for name in ('sampler', 'batch_sampler'):
        yield f'{path}.{name}', loader.get(name) or {}, 'DATA_SAMPLERS'
    yield f'{path}.collate_fn', loader.get('collate_fn') or {}, 'FUNCTIONS'
    yield from _dataset_parts(f'{path}.dataset', loader.get('dataset'))


def _dataset_parts(path: str, dataset: object) -> Iterator[_Part]:
    if not isinstance(dataset, Mapping):
        return
    yield path, dataset, 'DATASETS'
    yield from _listed(f'{path}.pipeline', dataset.get('pipeline'), 'TRANSFORMS')
    yield from _dataset_parts(f'{path}.dataset', dataset.get('dataset'))
    for index, one in enumerate(dataset.get('datasets') or ()):
        yield from _dataset_parts(f'{path}.datasets.{index}', one)


def _listed(path: str, value: object, registry: str) -> Iterator[_Part]:
    if isinstance(value, list | tuple):
        for index, part in enumerate(value):
            if isinstance(part, Mapping):
                yield f'{path}.{index}', part, registry
    elif isinstance(value, Mapping):
        yield path, value, registry


def _registries(name: str) -> Iterator[Registry]:
    for module in (roots, host):
        if hasattr(module, name):
            yield getattr(module, name)


def _is_known(registry: str, name: str, part: object) -> bool:
    """Look a name up as the host does, in the default scope and in MMPretrain's."""
    if registry == 'FUNCTIONS':  # has no scopes
        return roots.FUNCTIONS.get(name) is not None
    scope = part.get('_scope_') if isinstance(part, Mapping) else None
    for each in _registries(registry):
        with each.switch_scope_and_registry(scope) as scoped:
            if scoped.get(name) is not None:
                return True
    return False


def _names(registry: str) -> set[str]:
    return {name for each in _registries(registry) for name in each.module_dict}


def _check_annotation_file(path: str, dataset: Mapping) -> None:
    name, ann_file = dataset.get('type'), dataset.get('ann_file')
    is_ours = getattr(name, '__name__', str(name)).rpartition('.')[2] == 'COCOMultiLabel'
    if not (is_ours and isinstance(ann_file, str) and ann_file) or '://' in ann_file:
        return
    root = dataset.get('data_root') or ''
    file = os.path.join(root, ann_file)
    if '://' not in file and not os.path.isfile(file):
        raise ConfigFileNotFoundError(
            f'{path}.ann_file = {ann_file!r}: no file {file}. Correct it, or {path}.data_root '
            f'(now {root!r}), with which it is joined unless absolute'
        )


_PARTS = dict(
    train=('train_dataloader', 'train_cfg', 'optim_wrapper'),
    val=('val_dataloader', 'val_cfg', 'val_evaluator'),
    test=('test_dataloader', 'test_cfg', 'test_evaluator'),
)


def check_loop_parts(cfg: Mapping) -> None:
    """Raise if a config has some of the keys of a training, validation or test, but not all.

    The training must also be told once what it counts.

    Raises:
        ConfigError: It names those that are there and those that are not.
    """
    for parts in _PARTS.values():
        absent = [key for key in parts if cfg.get(key) is None]
        if absent and len(absent) < len(parts):
            given = [key for key in parts if key not in absent]
            raise ConfigError(
                f'{" and ".join(absent)} is missing or None, but the config has '
                f'{" and ".join(given)}: give all of {", ".join(parts)}, or set all to None'
            )
    train_cfg = cfg.get('train_cfg') or {}
    if 'by_epoch' in train_cfg and 'type' in train_cfg:
        raise ConfigError(
            f'train_cfg has type = {train_cfg["type"]!r} and by_epoch = {train_cfg["by_epoch"]!r}: '
            'give by_epoch without type, or a loop of your own without by_epoch'
        )
    if not isinstance(train_cfg.get('by_epoch', True), bool):
        raise ConfigError(
            f'train_cfg.by_epoch = {train_cfg["by_epoch"]!r}: it must be True (max_epochs) or '
            'False (max_iters)'
        )


class ExplainedBuilds:
    """Mixin over ``Runner``: what it builds from a config raises :class:`ConfigError`.

    All names of types are looked up before the first part is built, so that a wrong name in the
    metric does not wait until the data is read; see :func:`check_type_names`. Annotation files are
    looked up when a run begins, for what it reads: a training needs no test data.
    """

    @classmethod
    def from_cfg(cls, cfg):
        check_loop_parts(cfg)
        return super().from_cfg(cfg)

    def setup_env(self, env_cfg: dict) -> None:
        with explained(self.cfg, 'env_cfg'):
            super().setup_env(env_cfg)

    def build_log_processor(self, log_processor):
        with explained(self.cfg, 'log_processor'):
            return super().build_log_processor(log_processor)

    def build_visualizer(self, visualizer=None):
        with explained(self.cfg, 'visualizer'):
            return super().build_visualizer(visualizer)

    def set_randomness(self, *args, **kwargs) -> None:
        with explained(self.cfg, 'randomness'):
            super().set_randomness(*args, **kwargs)

    def build_model(self, model):
        check_type_names(self.cfg)
        with explained(self.cfg, 'model', 'data_preprocessor'):
            return super().build_model(model)

    def register_hooks(self, default_hooks=None, custom_hooks=None) -> None:
        with explained(self.cfg, 'default_hooks', 'custom_hooks'):
            super().register_hooks(default_hooks, custom_hooks)

    def build_train_loop(self, loop: BaseLoop | dict) -> BaseLoop:
        with explained(self.cfg, 'train_dataloader', 'train_cfg'):
            return super().build_train_loop(loop)

    def build_val_loop(self, loop: BaseLoop | dict) -> BaseLoop:
        with explained(self.cfg, 'val_dataloader', 'val_cfg'):
            return super().build_val_loop(loop)

    def build_test_loop(self, loop: BaseLoop | dict) -> BaseLoop:
        with explained(self.cfg, 'test_dataloader', 'test_cfg'):
            return super().build_test_loop(loop)

    def build_evaluator(self, evaluator) -> Evaluator:
        with explained(self.cfg, 'val_evaluator', 'test_evaluator'):
            return super().build_evaluator(evaluator)

    def build_optim_wrapper(self, optim_wrapper):
        with explained(self.cfg, 'optim_wrapper'):
            return super().build_optim_wrapper(optim_wrapper)

    def build_param_scheduler(self, scheduler):
        with explained(self.cfg, 'param_scheduler'):
            return super().build_param_scheduler(scheduler)

    def _init_model_weights(self) -> None:
        with explained(self.cfg, 'model'):
            super()._init_model_weights()

    def load_or_resume(self) -> None:
        with explained(self.cfg, 'load_from'):
            super().load_or_resume()

    def train(self):
        check_annotation_files(self.cfg, 'train', 'val')
        return super().train()

    def val(self):
        check_annotation_files(self.cfg, 'val')
        return super().val()

    def test(self):
        check_annotation_files(self.cfg, 'test')
        return super().test()
