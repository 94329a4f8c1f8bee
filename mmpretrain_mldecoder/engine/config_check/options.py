"""Mistakes in ``--cfg-options``, and in the names of a config's own keys."""

import difflib
from collections.abc import Iterator, Mapping
from numbers import Number

from mmengine.config import Config

from .config_mistake import ConfigMistake, near_names

# What the runner and the tools read; any other key is a variable of the config.
KNOWN_KEYS = (
    *('model', 'data_preprocessor', 'work_dir', 'train_cfg', 'val_cfg', 'test_cfg'),
    *('train_dataloader', 'val_dataloader', 'test_dataloader', 'val_evaluator', 'test_evaluator'),
    *('optim_wrapper', 'param_scheduler', 'auto_scale_lr', 'default_hooks', 'custom_hooks'),
    *('load_from', 'resume', 'launcher', 'env_cfg', 'log_processor', 'log_level', 'visualizer'),
    *('default_scope', 'randomness', 'experiment_name', 'custom_imports', 'runner_type'),
    *('model_wrapper_cfg', 'sync_bn', 'find_unused_parameters', 'activation_checkpointing'),
    *('efficient_conv_bn_eval', 'compile', 'channels_last', 'check_config'),
    *('tta_model', 'tta_pipeline', 'evaluate_only'),
)
# Strings that stand for a number in one host or another.
_WORDS = ('auto', 'dynamic')


def check_option(cfg: Config, key: str, value: object) -> None:
    """Raise if an option names a key that nothing reads, or puts a nonsense value into one.

    A number must stay a number (or None, a bool, a list, ``'auto'``, ``'dynamic'``), a dict may not
    become a number or a string. New keys are let in below the first level, where what is built
    from them refuses those it does not know.

    Args:
        cfg (Config): The config, without the option.
        key (str): Such as ``train_dataloader.batch_size``.
        value (object): What the command line gave, as ``DictAction`` read it.

    Raises:
        ConfigMistake: As said.
    """
    first = key.partition('.')[0]
    if first not in cfg and first not in KNOWN_KEYS:
        raise ConfigMistake(
            f'--cfg-options {key}={value}: the config has no key {first!r}'
            f'{near_names(first, {*cfg, *KNOWN_KEYS})}'
        )
    for path, old, new in _replaced(cfg, key, value):
        is_number = isinstance(old, Number) and not isinstance(old, bool)
        if is_number and isinstance(new, str) and new not in _WORDS:
            raise ConfigMistake(
                f'--cfg-options {path}={new}: {path} is a number ({old!r}), and {new!r} is none'
            )
        if isinstance(old, Mapping) and isinstance(new, str | Number) and not isinstance(new, bool):
            raise ConfigMistake(
                f'--cfg-options {path}={new}: {path} is a dict, of which one key can be set by '
                f'{path}.KEY=VALUE; its keys are {", ".join(map(str, old))}'
            )


def _replaced(cfg: Config, key: str, value: object) -> Iterator[tuple[str, object, object]]:
    """Yield the old and the new value of what the option replaces, if there was one."""
    first, *parts = key.split('.')
    old = cfg.get(first)
    for part in parts:
        if isinstance(old, list | tuple) and part.isdigit() and int(part) < len(old):
            old = old[int(part)]
        elif isinstance(old, Mapping) and part in old:
            old = old[part]
        else:
            return
    yield key, old, value


def warn_of_near_keys(cfg: Config) -> list[str]:
    """Return a sentence for each key of a config that looks like a mistyped known one.

    A config may have any variables, so this is no error: a key counts as mistyped if a known key
    differs from it by a letter or two, and is absent.
    """
    absent = [key for key in KNOWN_KEYS if key not in cfg and not key.startswith('tta_')]
    found = []
    for key in cfg:
        near = difflib.get_close_matches(key, absent, n=1, cutoff=0.9)
        if key not in KNOWN_KEYS and near:
            found.append(f'nothing reads the key {key!r} of the config: is it {near[0]}?')
    return found
