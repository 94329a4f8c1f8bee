"""Which weights of a file are meant: its sets of them, names of wrappers, and ``file.pth#name``."""

import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mmengine.logging import print_log
from torch import Tensor

from .file_kinds import IN_PARTS

# What the makers of a file evaluate, first to last: words between dots and underscores.
_EVALUATED = (
    r'ema|swa|averaged?|avg',  # timm, torchvision's references, BasicSR, ema_pytorch
    r'teacher',  # DINO
    r'encoder_q|base_encoder|online',  # MoCo 1, 2; 3; BYOL
    r'^backbone\.?$',  # solo-learn, lightly, MMPretrain
)
# Keys of a plain model, where nothing is averaged.
_PLAIN = {
    *('state_dict', 'model', 'model_state_dict', 'model_state', 'net', 'network', 'module'),
    *('params', 'weights', 'net_state_dict', 'model_weights'),
}
_NO_WEIGHTS = re.compile(
    r'optim|sched|scaler|rng|loss|criterion|hyper|callback|^amp|^args$|config|^cfg$|^meta|hub$|'
    r'metric|histor|loops|sampler|averaging_state'
)
# Anywhere in a name: torch.compile, FSDP, activation checkpointing.
_INSIDE = re.compile(r'(?<![^.])(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.')

_FLAT = re.compile(r'(^|\.)_?flat_param(_\d+)?$')


@dataclass(frozen=True)
class WeightSet:
    """The weights that are meant by a file."""

    path: str  # their keys in the file, joined by dots; empty if they are the file itself
    prefix: str  # what was taken off before every name
    state: Mapping  # name to tensor or array; the object in the file if nothing was to change


def split_fragment(filename: str | os.PathLike) -> tuple[str, str]:
    """Split ``'file.pth#name'``, where no file has that full name."""
    name = os.fspath(filename)
    if '#' not in name or ('://' not in name and Path(name).expanduser().exists()):
        return name, ''
    path, _, fragment = name.rpartition('#')
    return path, fragment


def choose(content: Mapping, source: str, fragment: str = '') -> WeightSet:
    """Return the weights in what a file, the ``source``, held.

    Of several sets the one that its makers evaluate is taken, such as ``state_dict_ema``, and a
    line of the log names the others. In MMEngine's checkpoints that is ``state_dict``. A
    ``fragment`` has the keys of a set, the beginning of names in it, or both, joined by dots.

    Raises ``ValueError`` if there are no weights, several sets of which none is known to be
    preferred, or nothing that ``fragment`` names.
    """
    own = content.get('state_dict')
    if not fragment and isinstance(own, Mapping) and isinstance(content.get('meta'), Mapping):
        return WeightSet('state_dict', *without_wrappers(own))
    sets = _sets(content)
    if not sets:
        raise ValueError(_no_weights(content, source))
    path, names = _named(sets, fragment)
    if path is None:
        path = _preferred(sets, source)
    prefix, state = without_wrappers(sets[path])
    for name, value in state.items():
        if _FLAT.search(name) or type(value).__module__.startswith('torch.distributed'):
            raise ValueError(f'{source} holds {name} as {IN_PARTS}')
    if not names:
        return WeightSet(path, prefix, state)
    for start in (names, _INSIDE.sub('', names).removeprefix('module.')):
        start = start.rstrip('.') + '.'
        below = {n.removeprefix(start): v for n, v in state.items() if n.startswith(start)}
        if below:
            return WeightSet(path, prefix + start, below)
    firsts = sorted({name.partition('.')[0] for name in state})
    raise ValueError(
        f'{source} has nothing called {fragment!r}: its sets of weights are '
        f'{", ".join(sets) or "the file itself"}, and names begin with {", ".join(firsts[:8])}'
    )


def without_wrappers(state: Mapping) -> tuple[str, Mapping]:
    """Return the ``module.`` before every name, and the entries without what wrappers put there.

    That is ``module.`` of data parallelism and averaging, with its counter ``n_averaged``, and
    ``_orig_mod.`` and the like of ``torch.compile``, FSDP and activation checkpointing, also inside
    of names.
    """
    names = [name for name in state if isinstance(name, str)]
    if len(names) < len(state):
        return '', state
    if any('_orig_mod.' in name or '_wrapped_module.' in name for name in names):
        state = {_INSIDE.sub('', name): value for name, value in state.items()}
    prefix = ''
    while len(state) and all(n.startswith('module.') or n == 'n_averaged' for n in state):
        if state.keys() == {'n_averaged'}:
            break
        state = {n[7:]: value for n, value in state.items() if n != 'n_averaged'}
        prefix += 'module.'
    return prefix, state


def evaluated(names: Collection[str]) -> str | None:
    """Return which of several keys or prefixes its makers evaluate, None if that is not known."""
    for words in _EVALUATED:
        pattern = re.compile(words if words.startswith('^') else rf'(?<![a-z])(?:{words})(?![a-z])')
        found = [name for name in names if pattern.search(name.lower())]
        if len(found) == 1:
            return found[0]
        if found:
            names = found
    return None


def _sets(content: Mapping, path: str = '') -> dict[str, Mapping]:
    """Find all mappings of names to tensors; the key of each is its path."""
    tensors = {
        name: value
        for name, value in content.items()
        if isinstance(name, str) and isinstance(value, Tensor | np.ndarray)
    }
    nested: dict[str, Mapping] = {}
    for key, value in content.items():
        if isinstance(value, Mapping) and isinstance(key, str) and not _NO_WEIGHTS.search(key):
            nested |= _sets(value, f'{path}.{key}' if path else key)
    most = max(map(len, nested.values()), default=0)
    if len(tensors) <= most or not any(value.ndim for value in tensors.values()):
        return nested
    # Beside them may lie an epoch; what has the name of a weight is kept, to be refused.
    is_named = (name for name in content if isinstance(name, str) and '.' in name)
    found = tensors | {name: content[name] for name in is_named}
    return {path: content if len(found) == len(content) else found}


def _named(sets: Mapping, fragment: str) -> tuple[str | None, str]:
    """Return the set that a fragment names, None for the usual one, and the rest of it."""
    parts = fragment.split('.') if fragment else []
    for n in range(len(parts), 0, -1):
        key, rest = '.'.join(parts[:n]), '.'.join(parts[n:])
        found = [path for path in sets if path == key or path.startswith(f'{key}.')]
        if len(found) == 1:
            return found[0], rest
    return None, fragment


def _preferred(sets: Mapping[str, Mapping], source: str) -> str:
    if len(sets) == 1:
        return next(iter(sets))
    # MMEngine's, without its meta: the average is in state_dict.
    swapped = {'state_dict', 'ema_state_dict'} <= sets.keys()
    plain = [path for path in sets if path.rpartition('.')[2] in _PLAIN]
    path = 'state_dict' if swapped else evaluated(sets)
    path = path or (plain[0] if len(plain) == 1 else None)
    others = [f'{other} ({len(sets[other])} tensors)' for other in sets if other != path]
    if path is None:
        raise ValueError(
            f'{source} holds several sets of weights, and none of them is known to be preferred: '
            f'{", ".join(others)}. Name one: {source}#{next(iter(sets))}'
        )
    other = next(other for other in sets if other != path)
    print_log(
        f'{source} holds several sets of weights: {path} is loaded, not {", ".join(others)}. '
        f'To load another one: {source}#{other}',
        'current',
    )
    return path


def _no_weights(content: Mapping, source: str) -> str:
    keys = [str(key) for key in content]
    if not keys:
        return f'{source} holds an empty dict, no weights: save it again'
    if {'state', 'param_groups'} <= {*keys} or any('optim' in key for key in keys):
        return (
            f'{source} holds the state of an optimizer, no weights ({", ".join(keys[:5])}): name '
            'the file of the model beside it'
        )
    return (
        f'{source} holds no weights by name, but {", ".join(keys[:5])}: save the state dict of a '
        'model, torch.save(model.state_dict(), "weights.pth")'
    )
