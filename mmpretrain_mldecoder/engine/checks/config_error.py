"""Config loading and the text of config errors."""

import difflib
import inspect
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from numbers import Number
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import Registry, root

from ...errors import ConfigError, ConfigFileNotFoundError

_UNREGISTERED = re.compile(r'(\S+) is not in the (?:\S+::)?(.+?) registry')
_UNEXPECTED = re.compile(r"got an unexpected keyword argument '(\w+)'")
_MISSING = re.compile(r'(\w+)\.__init__\(\) missing .* arguments?: (.*)')


def near_names(name: str, names: Iterable[str]) -> str:
    """Return ``'; near: A, B'``, the names that look alike whatever their capitals, or ''."""
    lowered: dict[str, str] = {}
    for other in sorted(names):
        lowered.setdefault(other.lower(), other)
    near = difflib.get_close_matches(name.lower(), lowered, n=3, cutoff=0.75)
    near = near or [key for key in lowered if len(name) > 3 and key.startswith(name.lower())][:3]
    return f'; near: {", ".join(lowered[key] for key in near)}' if near else ''


@contextmanager
def explained(cfg: Mapping, *sections: str) -> Iterator[None]:
    """Turn an error of what is built here into a :class:`ConfigError`.

    The host says which name or argument it does not know; this adds where the config has it, and
    names that look alike. What else is raised for a wrong value (``ValueError``, ``TypeError``,
    ``AssertionError``, ``FileNotFoundError``) gets the sections ahead of its message.

    Args:
        cfg (Mapping): The whole config.
        *sections (str): Its keys from which is built, such as ``'model'``.

    Raises:
        ConfigError: From the original error.
    """
    try:
        yield
    except ConfigError:
        raise
    except (KeyError, ValueError, TypeError, AssertionError, FileNotFoundError) as error:
        message = _message(cfg, sections, error)
        if message is None:
            raise
        is_absent = isinstance(error, FileNotFoundError)
        raise (ConfigFileNotFoundError if is_absent else ConfigError)(message) from error


def _message(cfg: Mapping, sections: tuple[str, ...], error: Exception) -> str | None:
    text = ' '.join(str(error.args[0] if error.args else error).split())
    if isinstance(error, FileNotFoundError):
        text = str(error)
    dicts = [(p, d) for name in sections for p, d in _dicts(cfg.get(name), name)]
    if isinstance(error, KeyError):
        if 'must contain the key "type"' in text:
            return f'{_one_of(sections)}: {text}'
        found = _UNREGISTERED.search(text)
        return _unregistered(dicts, sections, *found.groups()) if found else None
    if isinstance(error, TypeError):
        if found := _UNEXPECTED.search(text):
            return _unexpected(dicts, sections, found[1], text)
        if found := _MISSING.search(text):
            return _missing(dicts, sections, found[1], found[2], text)
    named = _named(dicts, text)
    if isinstance(error, TypeError | AssertionError):
        text = f'{text} ({type(error).__name__}, {_place(error)})'
    return f'{named or _one_of(sections)}: {text}'


def _named(dicts: list[tuple[str, Mapping]], text: str) -> str | None:
    """Return ``'model.head.num_groups = 9'`` for the first key that a message speaks of."""
    first, *words = re.findall(r'[\w`\']+', text) or ['']
    # Within a sentence a plain word such as "size" may not be a key's name.
    for word in (first, *(word for word in words if '_' in word or word[0] in "`'")):
        key = word.strip("`'")
        for path, found in dicts:
            if key != 'type' and key in found and not isinstance(found[key], Mapping | list):
                return f'{path}.{key} = {found[key]!r}'
    return None


def _unregistered(dicts, sections, name: str, kind: str) -> str:
    name = name.strip('\'"')
    path = next((f'{p}.{k}' for p, d in dicts for k, v in d.items() if v == name), None)
    return type_mistake(path or _one_of(sections), name, kind, registered_names(kind))


def type_mistake(path: str, name: str, kind: str, names: Iterable[str]) -> str:
    """Return the message about a ``type`` that no registry has."""
    return (
        f'{path} = {name!r}: no {kind} of that name{near_names(name, names)}. A class of your own '
        'has to be registered by a module that custom_imports names'
    )


def registered_names(kind: str) -> set[str]:
    """Return the names in the registries of a kind, such as ``'model'``."""
    names: set[str] = set()
    for family in _families():
        if any(registry.name == kind for registry in family):
            names.update(*(registry.module_dict for registry in family))
    return names


def _families() -> list[list[Registry]]:
    """Return each registry of MMEngine with those of its scopes, whose names may differ."""
    parents = [registry for registry in vars(root).values() if isinstance(registry, Registry)]
    return [[parent, *parent.children.values()] for parent in parents]


def _unexpected(dicts, sections, key: str, text: str) -> str:
    path, found = next(((p, d) for p, d in dicts if key in d), (None, None))
    if found is None:
        return f'{_one_of(sections)}: {text}'
    owner = str(found.get('type', text.partition('.__init__')[0]))
    names = {*found, *_arguments(found.get('type'))} - {key}
    return (
        f'{path}.{key} = {found[key]!r}: {owner} takes no argument {key!r}'
        f'{near_names(key, names)}. Correct its name or remove it'
    )


def _missing(dicts, sections, class_name: str, arguments: str, text: str) -> str:
    for path, found in dicts:
        classes = inspect.getmro(_class(found.get('type')) or object)
        if class_name in (cls.__name__ for cls in classes):
            return f'{path}: {found["type"]} needs {arguments}. Add to {path}'
    return f'{_one_of(sections)}: {text}'


def _arguments(name: object) -> set[str]:
    """Return the names of the arguments of a registered class and of those it inherits from."""
    names = set()
    for cls in inspect.getmro(_class(name) or object)[:-1]:
        if '__init__' in vars(cls):
            names.update(inspect.signature(cls.__init__).parameters)
    return names - {'self', 'args', 'kwargs'}


def _class(name: object) -> type | None:
    if not isinstance(name, str):
        return name if isinstance(name, type) else None
    for family in _families():
        for registry in family:
            cls = registry.module_dict.get(name.rpartition('.')[2])
            if isinstance(cls, type):
                return cls
    return None


def _dicts(value: object, path: str) -> Iterator[tuple[str, Mapping]]:
    """Yield all dicts within a part of a config, each with its path."""
    if isinstance(value, Mapping):
        yield path, value
        parts = value.items()
    elif isinstance(value, list | tuple):
        parts = enumerate(value)
    else:
        return
    for key, part in parts:
        yield from _dicts(part, f'{path}.{key}')


def _one_of(sections: tuple[str, ...]) -> str:
    return ' or '.join(sections)


def _place(error: BaseException) -> str:
    traceback = error.__traceback__
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    return f'{Path(traceback.tb_frame.f_code.co_filename).name}:{traceback.tb_lineno}'


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
        ConfigError: As said.
    """
    first = key.partition('.')[0]
    if first not in cfg and first not in KNOWN_KEYS:
        raise ConfigError(
            f'--cfg-options {key}={value}: the config has no key {first!r}'
            f'{near_names(first, {*cfg, *KNOWN_KEYS})}'
        )
    for path, old, new in _replaced(cfg, key, value):
        is_number = isinstance(old, Number) and not isinstance(old, bool)
        if is_number and isinstance(new, str) and new not in _WORDS:
            raise ConfigError(
                f'--cfg-options {path}={new}: {path} is a number ({old!r}), and {new!r} is none'
            )
        if isinstance(old, Mapping) and isinstance(new, str | Number) and not isinstance(new, bool):
            raise ConfigError(
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


def read_config(path: str | os.PathLike) -> Config:
    """Read a config as MMEngine does. It is a program, and is run.

    Args:
        path (str | PathLike): The file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: Whatever else the file raises, in one line.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(f'no config at {path}')
    try:
        return Config.fromfile(path)
    except Exception as error:  # a config is Python, and may raise anything
        text = ' '.join(str(error).split()).partition(', the current sys.path is')[0]
        raise ValueError(f'{path} cannot be read: {type(error).__name__}: {text}') from error
