"""Config loading, and errors that name the key, its value and names that look alike."""

import inspect
import os
import re
import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from numbers import Number
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import Registry, root
from mmengine.runner import Runner

from ...errors import ConfigError, ConfigFileNotFoundError
from ...fileio.near_names import near_names
from ...fileio.terminal import one_line

# What the runner and the tools read; any other key is a variable of the config.
KNOWN_KEYS = (
    *inspect.signature(Runner).parameters,
    *('custom_imports', 'runner_type', 'model_wrapper_cfg', 'sync_bn', 'find_unused_parameters'),
    *('activation_checkpointing', 'efficient_conv_bn_eval', 'compile', 'channels_last'),
    *('check_config', 'load_strict', 'tta_model', 'tta_pipeline', 'evaluate_only'),
)

# What a wrong value or a missing package raises where it is built.
_OF_CONFIGS = (KeyError, ValueError, TypeError, AssertionError, FileNotFoundError, ImportError)

_UNREGISTERED = re.compile(r'(\S+) is not in the (?:\S+::)?(.+?) registry')
_UNEXPECTED = re.compile(
    r"(\w+)(?:\.__init__)?\(\) got (?:an unexpected|multiple values for) keyword argument '(\w+)'"
)
_UNKNOWN_TO_TIMM = re.compile(r'Unknown model \((.+)\)')
_MISSING = re.compile(r'(\w+)\.__init__\(\) missing .* arguments?: (.*)')


def read_config(path: str | os.PathLike | Config) -> Config:
    """Load a config, a Python file that is executed, or take one, with :func:`named_types`.

    Raises ``FileNotFoundError``, or :class:`ConfigError` for any error of the file, with its line.
    """
    if isinstance(path, Config):
        return named_types(path)
    path = Path(path)
    if not path.is_file():
        raise ConfigFileNotFoundError(f'no config at {path}{", a folder" * path.is_dir()}')
    try:
        return named_types(Config.fromfile(path))
    except Exception as error:  # a config is Python, and may raise anything
        text = ' '.join(str(error).split()).partition(', the current sys.path is')[0]
        text = text or 'what a config imports cannot be computed with: MMEngine imports it lazily'
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if Path(frame.filename).name == path.name]
        where = f'{path}, line {lines[-1]},' if lines else path
        raise ConfigError(f'{where} cannot be read: {type(error).__name__}: {text}') from error


def named_types(cfg: Config) -> Config:
    """Return a config with names in place of classes and functions, as those of text have them.

    MMEngine's pure Python configs (``type=Class``) build, but the host compares and looks up names.
    """
    items = {k: v for k, v in cfg.items() if k not in getattr(cfg, '_imported_names', ())}
    scope = cfg.get('default_scope') or 'mmpretrain'
    classes: set[str] = set()

    def named(value: object) -> object:
        if isinstance(value, Mapping):
            return {key: named(part) for key, part in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(map(named, value))
        if isinstance(value, type) or inspect.isroutine(value):
            value = _registered_name(value, scope)
            classes.add(value)
        return value

    items = named(items)
    if not classes:
        return cfg
    return Config({'default_scope': scope, **items}, filename=cfg.filename)


def _registered_name(value: object, scope: str) -> str:
    for family in _families():
        for registry in family:
            for name, known in registry.module_dict.items():
                if known is value:
                    is_found = registry.scope in (scope, root.MODELS.scope)
                    return name if is_found else f'{registry.scope}.{name}'
    return f'{value.__module__}.{value.__qualname__}'


def merge_options(cfg: Config, options: Mapping) -> None:
    """Merge ``--cfg-options``, as ``DictAction`` parses them, into a config.

    Raises :class:`ConfigError` for a key that nothing reads, or a value that cannot be meant: a
    number may not become a string (but ``'auto'`` or ``'dynamic'``), nor a dict a number or a
    string. Below the first level new keys pass: what is built from them refuses unknown ones.
    """
    for key, value in options.items():
        _check_option(cfg, key, value)
        try:
            cfg.merge_from_dict({key: value})
        except (TypeError, KeyError, ValueError, AssertionError) as error:
            what = f'--cfg-options {key}={value} does not fit the config'
            raise ConfigError(f'{what}: {error}') from error


def _check_option(cfg: Config, key: str, value: object) -> None:
    option = f'--cfg-options {key}={value}'
    first, *parts = key.split('.')
    if first not in cfg and first not in KNOWN_KEYS:
        near = near_names(first, {*cfg, *KNOWN_KEYS})
        raise ConfigError(f'{option}: the config has no key {first!r}{near}')
    old = cfg.get(first)
    for part in parts:
        if isinstance(old, list | tuple) and part.isdigit() and int(part) < len(old):
            old = old[int(part)]
        else:
            old = old.get(part) if isinstance(old, Mapping) else None
    is_number = isinstance(old, Number) and not isinstance(old, bool)
    if is_number and isinstance(value, str) and value not in ('auto', 'dynamic'):
        raise ConfigError(f'{option}: {key} must be a number, as {old!r} is')
    if isinstance(old, Mapping) and isinstance(value, str | Number) and not isinstance(value, bool):
        raise ConfigError(
            f'{option}: {key} is a dict. Set one of its keys with {key}.KEY=VALUE: '
            f'{", ".join(map(str, old))}'
        )


def unknown_argument(path: str, value: object, owner: str, names: Iterable[str]) -> str:
    """Return the message about a key for which a class or function has no argument."""
    key = path.rpartition('.')[2]
    return (
        f'{path} = {value!r}: {owner} takes no argument {key!r}{near_names(key, names)}. Correct '
        'its name or remove it'
    )


def unknown_type(path: str, name: str, kind: str) -> str:
    """Return the message about a type that no registry of its kind, such as ``'model'``, has."""
    families = [family for family in _families() if any(one.name == kind for one in family)]
    names = {known for family in families for one in family for known in one.module_dict}
    return (
        f'{path} = {name!r}: no {kind} of that name{near_names(name, names)}. A class of your own '
        'has to be registered by a module that custom_imports names'
    )


def several_sizes(
    key: str, size: object, other: object, what: str = 'cannot be stacked to a batch'
) -> str:
    """Return the message about images of several sizes in a batch."""
    return (
        f'{key}: its pipeline gives images of several sizes, {size} and {other}, which {what}. Add '
        f'a transform of a fixed size to {key}.dataset.pipeline before the one that packs, such as '
        "dict(type='SquareResize', scale=224)"
    )


def _families() -> list[list[Registry]]:
    """Return each registry of MMEngine with those of its scopes, whose names may differ."""
    parents = [registry for registry in vars(root).values() if isinstance(registry, Registry)]
    return [[parent, *parent.children.values()] for parent in parents]


@contextmanager
def explained(cfg: Mapping, *sections: str) -> Iterator[None]:
    """Turn an error of what is built here into a :class:`ConfigError`.

    The host says which name or argument it does not know; this adds where the config has it, and
    names that look alike. Other errors that a wrong value causes get the key, or the ``sections``
    (keys of the config) from which is built, before their message.
    """
    try:
        yield
    except ConfigError:
        raise
    except (*_OF_CONFIGS, RuntimeError) as error:
        message = _message(cfg, sections, error)
        if message is None:
            raise
        is_absent = isinstance(error, FileNotFoundError)
        raise (ConfigFileNotFoundError if is_absent else ConfigError)(message) from error


def _message(cfg: Mapping, sections: tuple[str, ...], error: Exception) -> str | None:
    text, place = one_line(error), ' or '.join(sections)
    dicts = [(p, d) for name in sections for p, d in nested_dicts(cfg.get(name), name)]
    if isinstance(error, RuntimeError):
        found = _UNKNOWN_TO_TIMM.fullmatch(text)
        return _unknown_to_timm(dicts, found[1]) if found else None
    if isinstance(error, KeyError):
        text = ' '.join(str(error.args[0]).split()) if error.args else ''
        if found := _UNREGISTERED.search(text):
            name = found[1].strip('\'"')
            path = next((f'{p}.{k}' for p, d in dicts for k, v in d.items() if v == name), place)
            return unknown_type(path, name, found[2])
        return f'{_named_key(dicts, text) or place}: {text}' if ' ' in text else None
    if found := _UNEXPECTED.search(text):
        owner, key = found.groups()
        for path, part in dicts:
            if key in part:
                names = {*part, *_arguments(part.get('type'))} - {key}
                owner = str(part.get('type', owner))
                return unknown_argument(f'{path}.{key}', part[key], owner, names)
    if found := _MISSING.search(text):
        for path, part in dicts:
            if any(found[1] == cls.__name__ for cls in _classes(part.get('type'))):
                return f'{path}: {part["type"]} needs {found[2]}. Add to {path}'
    named = _named_key(dicts, text)
    if isinstance(error, TypeError | AssertionError):
        frame = traceback.extract_tb(error.__traceback__)[-1]
        text += f' ({type(error).__name__}, {Path(frame.filename).name}:{frame.lineno})'
    return f'{named or place}: {text}'


def _unknown_to_timm(dicts: list[tuple[str, Mapping]], name: str) -> str:
    import timm  # whose error this is

    keys = [f'{p}.model_name' for p, d in dicts if name in str(d.get('model_name'))]
    near = near_names(name, timm.list_models())
    return (
        f'{"".join(keys[:1])} = {name!r}: timm has no such model{near}. '
        "timm.list_models('*NAME*') finds them"
    )


def _named_key(dicts: list[tuple[str, Mapping]], text: str) -> str | None:
    """Return ``'model.head.num_groups = 9'`` for the first key that a message names."""
    words = re.findall(r'[\w`\']+', text)
    for index, (word, following) in enumerate(zip(words, [*words[1:], ''], strict=True)):
        # Within a sentence a plain word such as "size" may not be a key's name.
        is_name, key = index == 0 or '_' in word or word[0] in "`'", word.strip("`'")
        for path, part in dicts:
            if key == 'type' or key not in part or isinstance(part[key], Mapping | list):
                continue
            if is_name or str(part[key]) == following:
                return f'{path}.{key} = {part[key]!r}'
    return None


def _arguments(name: object) -> set[str]:
    """Return the names of the arguments of a registered class and of those it inherits from."""
    inits = [cls.__init__ for cls in _classes(name) if '__init__' in vars(cls)]
    names = {each for init in inits for each in inspect.signature(init).parameters}
    return names - {'self', 'args', 'kwargs'}


def _classes(name: object) -> tuple[type, ...]:
    """Return a class, given by name or itself, and those it inherits from, but for ``object``."""
    if isinstance(name, str):
        name = name.rpartition('.')[2]
        found = (one.module_dict.get(name) for family in _families() for one in family)
        name = next((cls for cls in found if isinstance(cls, type)), None)
    return inspect.getmro(name)[:-1] if isinstance(name, type) else ()


def nested_dicts(value: object, path: str) -> Iterator[tuple[str, Mapping]]:
    """Yield all dicts within a part of a config, each with its path."""
    if isinstance(value, Mapping):
        yield path, value
    elif not isinstance(value, list | tuple):
        return
    for key, part in value.items() if isinstance(value, Mapping) else enumerate(value):
        yield from nested_dicts(part, f'{path}.{key}')
