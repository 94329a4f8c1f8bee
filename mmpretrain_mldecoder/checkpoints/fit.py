"""Strict fitting of weights to a model: prefixes of names, and what was not loaded."""

import itertools
import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..errors import WeightsMismatchError
from ..fileio.terminal import listed, one_line
from .weight_sets import evaluated

# What TIMMFeatureMap resizes.
_POSITIONS = re.compile(r'(^|\.)(pos_embed|relative_position_bias_table|attention_biases)$')


@dataclass(frozen=True)
class Mismatch:
    """What does not fit, by name; false if all does."""

    missing: tuple[str, ...]  # in the module, not in the state dict
    misshaped: dict[str, tuple[tuple[int, ...], tuple[int, ...]]]  # in the state dict, the module
    left_over: tuple[str, ...]  # only in the state dict, in a child that the module has
    foreign: tuple[str, ...]  # only in the state dict, and no sign of another network

    def __bool__(self) -> bool:
        return bool(self.missing or self.misshaped or self.left_over)

    def __str__(self) -> str:
        shapes = [
            f'{name}: {file} in the file, {model} in the model'
            for name, (file, model) in self.misshaped.items()
        ]
        parts = {'missing': self.missing, 'of another shape': shapes, 'left over': self.left_over}
        return '; '.join(f'{len(n)} {what} ({listed(n)})' for what, n in parts.items() if n)

    @property
    def random(self) -> list[str]:
        """The weights of the module that stay as they were."""
        return [*self.missing, *self.misshaped]

    @property
    def unused(self) -> list[str]:
        """The weights of the file that are not used, without counters of batch norms."""
        names = (*self.left_over, *self.foreign)
        return [name for name in names if not name.endswith('num_batches_tracked')]

    def without(self, leaves_out: Callable[[str], bool]) -> 'Mismatch':
        """Return the same without some names."""
        misshaped = {n: shapes for n, shapes in self.misshaped.items() if not leaves_out(n)}
        names = (self.missing, self.left_over, self.foreign)
        missing, left_over, foreign = (tuple(itertools.filterfalse(leaves_out, n)) for n in names)
        return Mismatch(missing, misshaped, left_over, foreign)


class Loaded(NamedTuple):
    """What was loaded into a module: ``state`` in its names, found below ``prefix`` in the file."""

    state: Mapping
    prefix: str
    mismatch: Mismatch


def load_fitting(module: nn.Module, checkpoint: Mapping, source: str) -> Loaded:
    """Load what fits into a module, behind whatever prefix its names stand in the file.

    The module, in no wrapper, is filled in place. Its own loading code may adapt weights, such as
    position embeddings of another image size: what counts is which parameters and running
    statistics are not filled in the end. ``original`` in the checkpoint are the weights before
    their conversion, as timm's names are also those of ``TIMMBackbone``.

    Raises :class:`WeightsMismatchError` if several prefixes fit, and none is known to be preferred;
    or if the loading code of the module fails. ``ValueError`` if a weight is NaN.
    """
    module = _innermost(module)
    state_dict = checkpoint.get('state_dict', checkpoint)
    choices = [in_names_of(module, state_dict, source)]
    if 'original' in checkpoint:
        choices.append(in_names_of(module, checkpoint['original'], source))
    choices.append((state_dict, ''))  # it may rename by itself
    for state, prefix in [*choices, choices[0]]:
        loaded = Loaded(state, prefix, load(module, state, source))
        if not loaded.mismatch:
            break
    return loaded


def load_whole(model: nn.Module, checkpoint: Mapping, source: str) -> Mapping:
    """Load all of a trained model for a test or a prediction; return the weights in its names.

    Raises :class:`WeightsMismatchError` if a parameter or running statistic is missing or of
    another shape, ``ValueError`` if one is NaN.
    """
    state, _, mismatch = load_fitting(model, checkpoint, source)
    if mismatch:
        hint = _hint_of_test(mismatch, state)
        raise WeightsMismatchError(f'{source} does not fit this config: {mismatch}. {hint}')
    return state


def check_start(network: nn.Module, mismatch: Mismatch, source: str, switch: str) -> None:
    """Raise :class:`WeightsMismatchError` if what a training starts from is not loaded in full.

    ``switch`` is the setting with which the rest stays random.
    """
    if mismatch:
        hint = _hint_of_start(network, mismatch)
        raise WeightsMismatchError(
            f'{source} does not fit the {type(network).__name__}: {mismatch}. {hint}, or load '
            f'what fits and leave the rest random: {switch}'
        )


def _hint_of_start(network: nn.Module, mismatch: Mismatch) -> str:
    if mismatch.missing or mismatch.left_over:
        pairs = itertools.product(mismatch.missing, mismatch.unused)
        if any(itertools.starmap(_differ_in_dots, pairs)):
            return (
                "timm's features_only renames layers: leave it out (TIMMFeatureMap gives the last "
                'map)'
            )
    elif all(map(_POSITIONS.search, mismatch.misshaped)):
        others = ', or use TIMMFeatureMap, which resizes positions'
        others = '' if type(network).__name__ == 'TIMMFeatureMap' else others
        return f'The weights are for images of another size: set img_size to that{others}'
    return (
        'Choose the type, depth and img_size of the network that the weights are of (ResNetVd for '
        'ResNet*_vd), or other weights'
    )


def _differ_in_dots(name: str, longer: str) -> bool:
    name, longer = f'.{name}', f'.{longer}'  # behind whatever prefix
    flat, longer_flat = (each.replace('.', '_') for each in (name, longer))
    return longer_flat.endswith(flat) and not longer.endswith(name)


def check_no_nan(weights: Mapping[str, Tensor], source: str) -> None:
    """Raise ``ValueError`` if a weight is NaN."""
    tensors = weights.items()
    broken = [name for name, t in tensors if t.is_floating_point() and t.isnan().any()]
    if broken:
        raise ValueError(
            f'{source} has NaN among its weights ({listed(broken)}), as a training that diverged '
            'leaves them: use an earlier checkpoint'
        )


def _hint_of_test(mismatch: Mismatch, state: Mapping) -> str:
    head = [name for name in state if name.startswith('head.')]
    if head and any(not name.startswith('head.') for name in mismatch.random):
        return 'More than the head differs: use the config that it was trained with'
    if head and not mismatch.missing:
        return (
            'If it is the number of classes, set model.head.num_classes (and num_groups of an '
            'ML-Decoder, and data_preprocessor.num_classes) to that of the file'
        )
    return (
        f'The file has {f"another head ({listed(head)})" if head else "no head"}. A test needs the '
        'weights of the whole model, and the config that they were trained with. A training can '
        'start from the backbone: model.backbone.init_cfg.checkpoint'
    )


def fresh_norms(module: nn.Module, missing: Collection[str]) -> set[str]:
    """Return those of the names that belong to norms after the blocks, which start as identity.

    A backbone may have one for each of its outputs (``norm0``, ``ln2``), or after pooling, that the
    network of the weights had not.
    """
    children = dict(module.named_children())
    norms = {
        name
        for name, child in children.items()
        if isinstance(child, nn.LayerNorm | nn.GroupNorm)
        or type(child).__name__.endswith('LayerNorm2d')
    }
    return {name for name in missing if name.rpartition('.')[0] in norms}


def needed_names(module: nn.Module) -> dict[str, tuple[str, ...]]:
    """Return each parameter and running statistic, with all names that it has."""
    tensors: dict[str, Tensor] = dict(module.named_parameters(remove_duplicate=False))
    tensors |= {
        name: value
        for name, value in module.named_buffers(remove_duplicate=False)
        if name.endswith(('running_mean', 'running_var'))
    }
    names: dict[int, list[str]] = {}
    for name, tensor in tensors.items():
        names.setdefault(id(tensor), []).append(name)
    return {same[0]: tuple(same) for same in names.values()}


def in_names_of(module: nn.Module, state_dict: Mapping, source: str) -> tuple[Mapping, str]:
    """Return weights in the names of a module, and the prefix below which they stand in the file.

    That is the prefix below which most names agree. Of equally good ones that which fits in most
    shapes, is evaluated by the makers of the file (:func:`.evaluated`), or holds the same values as
    the others.
    """
    state_dict = drop_surplus_outputs(module, state_dict)
    prefixes = _best_prefixes(module, state_dict)
    if len(prefixes) > 1 and (preferred := evaluated(prefixes)) is not None:
        prefixes = [preferred]
    own = module.state_dict()
    first, *others = (below(state_dict, prefix) for prefix in prefixes)
    differing = [
        n for o in others for n, value in o.items() if n in own and not _equal(value, first.get(n))
    ]
    if differing and 2 * len(own.keys() & first.keys()) > len(own):
        names = [prefix.rstrip('.') or '(none)' for prefix in prefixes]
        raise WeightsMismatchError(
            f'{source} has weights of the {type(module).__name__} more than once, below '
            f'{listed(names, 6)}, and none of them is known to be preferred. Name one: '
            f'{source}#{names[-1]}'
        )
    return first, prefixes[0]


def is_one_of_its_blocks(module: nn.Module, state_dict: Mapping) -> bool:
    """Whether a module is like several numbered blocks of the network of the weights."""
    prefixes, needed = _best_prefixes(module, state_dict), needed_names(module).keys()
    return len(prefixes) > 1 and all(
        prefix[:-1].rpartition('.')[2].isdigit() and needed <= below(state_dict, prefix).keys()
        for prefix in prefixes
    )


def _best_prefixes(module: nn.Module, state_dict: Mapping) -> list[str]:
    """Return the prefixes below which most names agree, and of these most shapes."""
    own = {name for same in needed_names(module).values() for name in same}
    counts: Counter[str] = Counter()
    for name in state_dict:
        parts = name.split('.')
        for i in range(len(parts)):
            if '.'.join(parts[i:]) in own:
                counts['.'.join([*parts[:i], ''])] += 1
    most = max(counts.values(), default=0)
    if counts[''] == most:
        return ['']
    shapes = {name: value.shape for name, value in module.state_dict().items()}
    fitting = {
        prefix: sum(
            getattr(v, 'shape', None) == shapes.get(n) for n, v in below(state_dict, prefix).items()
        )
        for prefix, count in counts.items()
        if count == most
    }
    return [prefix for prefix, number in fitting.items() if number == max(fitting.values())]


def _equal(one: object, other: object) -> bool:
    return isinstance(one, Tensor) and isinstance(other, Tensor) and torch.equal(one, other)


def load(module: nn.Module, state_dict: Mapping, source: str) -> Mismatch:
    """Load what fits, and return what was not loaded; ``ValueError`` if a loaded one is NaN."""
    state_dict = {
        n: v for n, v in state_dict.items() if isinstance(v, Tensor) or n.endswith('_extra_state')
    }
    misshaped: dict[str, tuple] = {}
    try:
        found = module.load_state_dict(state_dict, strict=False)
    except (AssertionError, KeyError, RuntimeError, ValueError) as error:
        shapes = {name: tuple(value.shape) for name, value in module.state_dict().items()}
        for name in re.findall(r'size mismatch for (\S+): ', str(error)):
            if name in state_dict and name in shapes:
                misshaped[name] = (tuple(state_dict[name].shape), shapes[name])
        if not misshaped:
            raise WeightsMismatchError(
                f'{source} cannot be loaded into the {type(module).__name__}: {one_line(error)}'
            ) from error
        rest = {name: value for name, value in state_dict.items() if name not in misshaped}
        found = module.load_state_dict(rest, strict=False)
    absent = {*found.missing_keys}
    check_no_nan({n: t for n, t in module.state_dict().items() if n not in absent}, source)
    missing = tuple(
        same[0]
        for same in needed_names(module).values()
        if absent.issuperset(same) and misshaped.keys().isdisjoint(same)
    )
    left_over, foreign = _signs_of_another(module, state_dict, found.unexpected_keys)
    return Mismatch(missing, misshaped, left_over, foreign)


_LEARNED = re.compile(r'weight|bias|gamma\w*|\w*_(weight|bias|gamma|table)')


def _signs_of_another(
    module: nn.Module, state_dict: Mapping, unexpected: Collection[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Split names that the module has not: those that show that it is another network, and others.

    They do if they are learned and in a block that the module has, or in one more block of a row
    that it has. Not so if that row is one of stages, and the last thing that the module has of the
    file: then it ends early, as with ``out_indices`` of an early stage. And not so for a classifier
    where timm's networks have an identity, as ``TIMMBackbone`` has taken it off.
    """
    modules = {name for name, _ in module.named_modules()}
    matrices = [f'{name}.' for name in unexpected if state_dict[name].dim() > 1]
    classifiers = {
        name
        for name, child in module.named_modules()
        if isinstance(child, nn.Identity) and not any(map(str.isdigit, name))
        if any(matrix.startswith(f'{name}.') for matrix in matrices)
    }
    held = [name for name in module.state_dict() if name in state_dict]
    roots = sorted(_roots(module), key=len)
    left_over = []
    for name in unexpected:
        root = next(root for root in reversed(roots) if name.startswith(root))
        *parts, leaf = name.removeprefix(root).split('.')
        paths = [root + '.'.join(parts[:n]) for n in range(1, len(parts) + 1)]
        depth = next((n for n in range(len(parts), 0, -1) if paths[n - 1] in modules), 0)
        if not depth or not _LEARNED.fullmatch(leaf) or paths[depth - 1] in classifiers:
            continue
        last = next((own for own in reversed(held) if own.startswith(root)), '')
        is_one_more = depth < len(parts) and parts[depth].isdigit()
        is_in_a_stage = any(map(str.isdigit, ''.join(parts[:depth])))  # layer4, stages.3
        if not (is_one_more and last.startswith(f'{paths[depth - 1]}.')) or is_in_a_stage:
            left_over.append(name)
    return tuple(left_over), tuple(name for name in unexpected if name not in left_over)


def drop_surplus_outputs(model: nn.Module, state_dict: Mapping[str, Tensor]) -> Mapping:
    """Cut the bias of PaddleClas' group layer to the classes of a whole model.

    Of its ``K * ceil(C / K)`` outputs the last ones are unused if ``K`` does not divide ``C``,
    which the file does not tell. Where there is nothing to cut, ``state_dict`` itself is returned.
    """
    fresh = model.state_dict()
    weight, bias = (f'head.decoder.group_linear.{part}' for part in ('weight', 'bias'))
    if (
        not {weight, bias} <= fresh.keys() & state_dict.keys()
        or fresh[weight].shape != state_dict[weight].shape
        or len(state_dict[bias]) <= len(fresh[bias])
    ):
        return state_dict
    return {**state_dict, bias: state_dict[bias][: len(fresh[bias])].clone()}


def below(state_dict: Mapping[str, Tensor], prefix: str) -> Mapping[str, Tensor]:
    """Return the entries whose names begin with ``prefix``, without it."""
    return {n.removeprefix(prefix): v for n, v in state_dict.items() if n.startswith(prefix)}


def _innermost(module: nn.Module) -> nn.Module:
    """Return the network in a module that holds nothing else, as in a TIMMBackbone."""
    children = list(module.children())
    is_alone = len(children) == 1 and not list(module.parameters(recurse=False))
    return _innermost(children[0]) if is_alone and list(children[0].children()) else module


def _roots(module: nn.Module, prefix: str = '') -> set[str]:
    """Return prefixes below which networks begin: of a backbone and a head, of a TIMMBackbone."""
    children = dict(module.named_children())
    if not hasattr(module, 'backbone') and _innermost(module) is module:
        return {prefix}
    return {prefix}.union(*(_roots(child, f'{prefix}{name}.') for name, child in children.items()))
