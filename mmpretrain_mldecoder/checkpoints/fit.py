"""Say where a state dict does not fit a module."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class Misfit:
    """What does not fit, by name; empty if all does.

    Attributes:
        missing (tuple[str]): In the module, not in the state dict.
        misshaped (dict[str, tuple]): Other shapes: name to the shape in the state dict, and in the
            module.
        left_over (tuple[str]): Only in the state dict, in a child that the module has: the child is
            another one, such as a stage with more blocks.
        foreign (tuple[str]): Only in the state dict, in a child that the module has not.
    """

    missing: tuple[str, ...]
    misshaped: dict[str, tuple[tuple[int, ...], tuple[int, ...]]]
    left_over: tuple[str, ...]
    foreign: tuple[str, ...]

    def __str__(self) -> str:
        shapes = [
            f'{name}: {file} in the file, {model} in the model'
            for name, (file, model) in self.misshaped.items()
        ]
        parts = [
            ('missing', self.missing),
            ('of another shape', shapes),
            ('left over', self.left_over),
        ]
        return '; '.join(f'{len(names)} {what} ({listed(names)})' for what, names in parts if names)


def compare(module: nn.Module, state_dict: Mapping[str, Tensor]) -> Misfit:
    """Compare names and shapes; no value is looked at.

    ``num_batches_tracked`` of the norms is never missed: only norms without a momentum read it.
    """
    model = module.state_dict()
    children = {name.partition('.')[0] for name in model}
    missing = [name for name in model if name not in state_dict]
    only_there = [name for name in state_dict if name not in model]
    return Misfit(
        missing=tuple(name for name in missing if not name.endswith('num_batches_tracked')),
        misshaped={
            name: (tuple(value.shape), tuple(model[name].shape))
            for name, value in state_dict.items()
            if name in model and value.shape != model[name].shape
        },
        left_over=tuple(name for name in only_there if name.partition('.')[0] in children),
        foreign=tuple(name for name in only_there if name.partition('.')[0] not in children),
    )


def listed(names: Collection[str], most: int = 4) -> str:
    """Join the first names: ``a, b, c, d, ...``."""
    return ', '.join([*list(names)[:most], *['...'] * (len(names) > most)])


def below(state_dict: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the entries whose names begin with ``prefix``, without it."""
    return {
        name.removeprefix(prefix): value
        for name, value in state_dict.items()
        if name.startswith(prefix)
    }
