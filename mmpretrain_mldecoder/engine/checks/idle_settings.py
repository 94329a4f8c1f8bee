"""Settings of a config that nothing reads, as warnings for the start of a run."""

import ast
import difflib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

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


def _settings(file: Path) -> tuple[dict, dict]:
    """Return the settings of a text config with its bases, and of its bases alone.

    The file is not executed: what is more than texts, numbers, lists, dicts and variables of them
    is left out.
    """
    own: dict[str, Any] = {}
    inherited: dict[str, Any] = {}
    if file.suffix != '.py' or not file.is_file():
        return own, inherited
    for node in ast.parse(file.read_text(encoding='utf-8')).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            own.pop(node.targets[0].id, None)
            with suppress(ValueError, TypeError):
                own[node.targets[0].id] = _value(node.value, own)
    bases = own.pop('_base_', [])
    for base in [bases] if isinstance(bases, str) else bases:
        inherited |= _settings(file.parent / base)[0]
    return inherited | own, inherited


def _value(node: ast.expr, variables: Mapping) -> Any:
    if isinstance(node, ast.Name):
        if node.id not in variables:
            raise ValueError(node.id)
        return variables[node.id]
    if isinstance(node, ast.List | ast.Tuple):
        values = [_value(part, variables) for part in node.elts]
        return values if isinstance(node, ast.List) else tuple(values)
    if isinstance(node, ast.Call) and ast.unparse(node.func) == 'dict' and not node.args:
        made: dict[str, Any] = {}
        for part in node.keywords:
            value = _value(part.value, variables)
            made |= value if part.arg is None else {part.arg: value}
        return made
    return ast.literal_eval(node)
