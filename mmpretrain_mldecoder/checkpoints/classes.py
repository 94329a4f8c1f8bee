"""How two lists of class names differ, and heads whose rows follow the names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from ..fileio.near_names import difference, plain_name
from ..fileio.terminal import listed, printable
from ..layers import MLDecoder


@dataclass(frozen=True)
class ClassChange:
    """How the classes of a dataset differ from those of a checkpoint."""

    theirs: list[str]  # of the checkpoint, in the order of its scores
    ours: list[str]  # of the dataset
    # Index of ours to that of the same class in theirs: of the same name, or else of the one that
    # looks the same (plain_name).
    sources: dict[int, int]

    @property
    def is_same(self) -> bool:
        """Whether both are the same names in the same order."""
        return self.theirs == self.ours

    @property
    def is_reordered(self) -> bool:
        """Whether both have the same classes, near names included, in another order."""
        is_whole = len(self.theirs) == len(self.ours) == len(self.sources)
        return is_whole and any(ours != theirs for ours, theirs in self.sources.items())

    @property
    def kept(self) -> list[str]:
        return [self.ours[n] for n, old in self.sources.items() if n == old]

    @property
    def moved(self) -> list[str]:
        return [f'{self.ours[n]} {old} -> {n}' for n, old in self.sources.items() if n != old]

    @property
    def new(self) -> list[str]:
        return [name for n, name in enumerate(self.ours) if n not in self.sources]

    @property
    def dropped(self) -> list[str]:
        held = {*self.sources.values()}
        return [name for old, name in enumerate(self.theirs) if old not in held]

    @property
    def renamed(self) -> list[str]:
        """Names of theirs and ours that are near, as ``'traffic_light = traffic light'``."""
        pairs = ((self.theirs[old], self.ours[n]) for n, old in self.sources.items())
        return [f'{theirs!r} = {ours!r}' for theirs, ours in pairs if theirs != ours]

    def first_difference(self, here: str, there: str) -> str:
        """Return what differs first, where theirs are ``there`` and ours are ``here``."""
        if self.is_same:
            return ''
        pairs = list(zip(self.theirs, self.ours, strict=False))
        index = next((i for i, (a, b) in enumerate(pairs) if a != b), None)
        if index is None:
            return f'{there} has {len(self.theirs)} classes and {here} {len(self.ours)}'
        one, other = (printable(name) for name in pairs[index])
        what = difference(*pairs[index])
        what = f' (the names differ in {what})' if what else ''
        return f"class {index} is '{one}' in {there} and '{other}' in {here}{what}"

    def __str__(self) -> str:
        parts = {
            'kept': self.kept,
            'moved': self.moved,
            'new': self.new,
            'dropped': self.dropped,
            'of a near name, taken as the same': self.renamed,
        }
        return '; '.join(
            f'{len(names)} {what} ({printable(listed(names, 10))})'
            for what, names in parts.items()
            if names
        )


def compare_classes(theirs: Sequence | None, ours: Sequence | None) -> ClassChange | None:
    """Compare the class names of a checkpoint and a dataset; None unless both have some."""
    if not theirs or not ours:
        return None
    theirs, ours = [str(name) for name in theirs], [str(name) for name in ours]
    sources: dict[int, int] = {}
    for key in (str, plain_name):
        free = [old for old in range(len(theirs)) if old not in {*sources.values()}]
        found = _unique({old: key(theirs[old]) for old in free})
        open_ = {n: key(ours[n]) for n in range(len(ours)) if n not in sources}
        sources |= {n: found[name] for name, n in _unique(open_).items() if name in found}
    return ClassChange(theirs, ours, dict(sorted(sources.items())))


def _unique(names: Mapping[int, str]) -> dict[str, int]:
    """Return name to index, of names that occur once."""
    found: dict[str, list[int]] = {}
    for index, name in names.items():
        found.setdefault(name, []).append(index)
    return {name: indices[0] for name, indices in found.items() if len(indices) == 1}


def move_rows(
    head: nn.Module, state: Mapping[str, Tensor], change: ClassChange
) -> tuple[dict[str, Tensor], list[str]]:
    """Let the rows of a head follow the names of their classes.

    A linear layer and CSRA have one row for each class. In an ML-Decoder a class goes with its
    query: where each class has a query of its own, that moves too; with several classes for each
    query a class can only stay with the query that it has.

    ``state`` are the weights of the head in the checkpoint; ``head``, whose classes are
    ``change.ours``, keeps its own. Returned are the entries of ``state`` that have rows, in the
    shapes of ``head``, with its rows for new classes; and the names of those whose rows cannot
    follow.
    """
    moved: dict[str, Tensor] = {}
    lost: list[str] = []
    for name, layer in _layers(head, len(change.ours)):
        is_decoder = isinstance(layer, MLDecoder)
        made = (_decoder if is_decoder else _rows)(layer, name, state, change)
        rows = ('queries', 'group_linear.') if is_decoder else ('',)
        if made is None:
            lost += [key for key in state if key.startswith(tuple(f'{name}{row}' for row in rows))]
        moved |= made or {}
    return moved, lost


def _layers(head: nn.Module, num_classes: int) -> list[tuple[str, nn.Module]]:
    """Return the layers that have rows for classes, with their names and a dot."""
    special: list[tuple[str, nn.Module]] = []
    linear: list[tuple[str, nn.Module]] = []
    for name, layer in head.named_modules():
        # 1x1, one for each temperature of CSRA
        is_csra = isinstance(layer, nn.Conv2d) and layer.out_channels == num_classes
        if is_csra or isinstance(layer, MLDecoder):
            special.append((f'{name}.', layer))
        elif isinstance(layer, nn.Linear) and layer.out_features == num_classes:
            linear.append((f'{name}.', layer))
    return special or linear[-1:]


def _rows(layer: nn.Module, prefix: str, state: Mapping, change: ClassChange) -> dict | None:
    moved = {}
    for name, own in layer.state_dict().items():
        old = state.get(prefix + name)
        if old is None or old.shape != (len(change.theirs), *own.shape[1:]):
            return None
        moved[prefix + name] = own.detach().clone()
        for new, index in change.sources.items():
            moved[prefix + name][new] = old[index]
    return moved


def _decoder(layer: nn.Module, prefix: str, state: Mapping, change: ClassChange) -> dict | None:
    assert isinstance(layer, MLDecoder)
    names = [f'{prefix}{name}' for name in ('queries', 'group_linear.weight', 'group_linear.bias')]
    if not state.keys() >= {*names}:
        return None
    queries, weight, bias = (state[name] for name in names)  # (K, D), (K, D, g), (C,)
    own = (layer.queries, layer.group_linear.weight, layer.group_linear.bias)
    own_queries, own_weight, own_bias = (value.detach().clone() for value in own)
    size, own_size = weight.shape[2], layer.group_linear.group_size
    if weight.shape[1] != own_weight.shape[1] or len(bias) != len(change.theirs):
        return None
    if own_size == 1:  # a query of its own, so it comes along
        origins = {new: old // size for new, old in change.sources.items()}
    elif queries.shape == own_queries.shape:
        origins = {k: k for k in range(len(queries))}
    else:
        return None
    for new, old in origins.items():
        own_queries[new] = queries[old]
    for new, old in change.sources.items():
        if origins[new // own_size] == old // size:
            own_weight[new // own_size, :, new % own_size] = weight[old // size, :, old % size]
            own_bias[new] = bias[old]
    return dict(zip(names, (own_queries, own_weight, own_bias), strict=True))
