"""Settings of a config that nothing reads, as warnings for the start of a run."""

import difflib
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from mmengine.config import Config

from .config_error import KNOWN_KEYS, nested_dicts


def idle_settings(cfg: Config, trains: bool = True) -> list[str]:
    """Return a sentence for each setting that does nothing, with the key that would act.

    What differs from the text of the config file and its bases was set over them.
    """
    absent = [key for key in KNOWN_KEYS if key not in cfg and not key.startswith('tta_')]
    unknown = [key for key in cfg if key not in KNOWN_KEYS]
    found = [
        f'Nothing reads the key {key!r} of the config: is it {near}?'
        for key in unknown
        for near in difflib.get_close_matches(key, absent, n=1, cutoff=0.9)
    ]
    model = cfg.get('model') or {}
    own, outer = model.get('data_preprocessor'), cfg.get('data_preprocessor')
    if own and outer and dict(own) != {**own, **outer}:
        found.append('data_preprocessor does nothing beside model.data_preprocessor: set that one')
    origins = _settings(Path(cfg.filename or ''))
    for origin in origins:
        found += _idle_variables(cfg, origin)
    kept = _hook_types(cfg)
    dropped = [name for origin in origins for name in _hook_types(origin) if name not in kept]
    if dropped and trains:  # tools choose the hooks of a test
        found.append(
            f'custom_hooks replaces those of the base config: {", ".join(dict.fromkeys(dropped))} '
            'will not run. Repeat in custom_hooks what is to stay'
        )
    return list(dict.fromkeys(found))


def _idle_variables(cfg: Config, origin: Mapping) -> Iterator[str]:
    """Yield overridden variables, where the keys made from them keep the old value."""
    dicts = [(p, d) for key in KNOWN_KEYS for p, d in nested_dicts(cfg.get(key), key)]
    for name, value in cfg.items():
        if name in KNOWN_KEYS or name not in origin or origin[name] == value:
            continue
        places = [
            (f'{path}.{key}', part[key])
            for path, part in dicts
            for key in part
            if isinstance(key, str) and f'_{name}'.endswith(f'_{key}')
        ]
        stale = [place for place, there in places if there == origin[name]]
        if stale and not any(there == value for _, there in places):
            yield (
                f'{name} was overridden, but {", ".join(stale[:3])} keeps its value: {name} does '
                f'nothing. Set {stale[0]}'
            )


def _hook_types(cfg: Mapping) -> list[str]:
    hooks = cfg.get('custom_hooks') or []
    return [
        getattr(hook['type'], '__name__', str(hook['type'])).rpartition('.')[2]
        for hook in hooks
        if isinstance(hook, Mapping) and 'type' in hook
    ]


def _settings(file: Path) -> tuple[Mapping, Mapping]:
    """Return the settings of a config file with its bases, and of its bases alone."""
    if file.suffix != '.py' or not file.is_file():
        return {}, {}
    load = partial(Config.fromfile, import_custom_modules=False)
    bases = [file.parent / base for base in Config._get_base_files(str(file))]
    inherited: dict = {}
    for base in filter(Path.is_file, bases):
        inherited |= load(base)
    return load(file), inherited
