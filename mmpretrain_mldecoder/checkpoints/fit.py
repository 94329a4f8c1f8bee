"""Strict fitting of weights to a model, and the ``Pretrained`` initializer that is strict."""

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from mmengine.logging import print_log
from mmengine.model import PretrainedInit as MMEnginePretrainedInit
from mmengine.model.weight_init import update_init_info
from mmengine.registry import WEIGHT_INITIALIZERS
from mmengine.runner import CheckpointLoader
from torch import Tensor, nn

from ..errors import WeightsMismatchError


@dataclass(frozen=True)
class Mismatch:
    """What does not fit, by name; empty if all does.

    Attributes:
        missing (tuple[str]): In the module, not in the state dict.
        misshaped (dict[str, tuple]): Name to its shape in the state dict, and in the module.
        left_over (tuple[str]): Only in the state dict, in a child that the module has.
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
        parts = {'missing': self.missing, 'of another shape': shapes, 'left over': self.left_over}
        return '; '.join(f'{len(n)} {what} ({listed(n)})' for what, n in parts.items() if n)


def compare(module: nn.Module, state_dict: Mapping[str, Tensor]) -> Mismatch:
    """Compare names and shapes; no value is looked at.

    ``num_batches_tracked`` of the norms is never missed: only norms without a momentum read it.
    """
    model = module.state_dict()
    children = {name.partition('.')[0] for name in model}
    missing = [name for name in model if name not in state_dict]
    only_there = [name for name in state_dict if name not in model]
    return Mismatch(
        missing=tuple(name for name in missing if not name.endswith('num_batches_tracked')),
        misshaped={
            name: (tuple(value.shape), tuple(model[name].shape))
            for name, value in state_dict.items()
            if name in model and value.shape != model[name].shape
        },
        left_over=tuple(name for name in only_there if name.partition('.')[0] in children),
        foreign=tuple(name for name in only_there if name.partition('.')[0] not in children),
    )


def check_fit(module: nn.Module, state_dict: Mapping[str, Tensor], source: str) -> tuple[str, ...]:
    """Compare converted weights, called ``source`` in the error, with the module they are for.

    Returns the ``foreign`` names; anything else is a :class:`WeightsMismatchError`.
    """
    mismatch = compare(module, state_dict)
    if mismatch.missing or mismatch.misshaped or mismatch.left_over:
        raise WeightsMismatchError(
            f'{source} does not fit the {type(module).__name__}: {mismatch}. Choose the type and '
            'depth of the network that the weights are of (ResNetVd for ResNet*_vd), or other '
            'weights'
        )
    return mismatch.foreign


def is_converted(checkpoint: object) -> bool:
    """Whether a checkpoint holds published weights in our names."""
    meta = checkpoint.get('meta') if isinstance(checkpoint, dict) else None
    return isinstance(meta, dict) and 'converted' in meta


def drop_surplus_outputs(model: nn.Module, state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
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
    return state_dict | {bias: state_dict[bias][: len(fresh[bias])].clone()}


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


@WEIGHT_INITIALIZERS.register_module(name='Pretrained', force=True)
class PretrainedInit(MMEnginePretrainedInit):
    """Fill a module with a checkpoint, strictly if its weights were converted.

    It replaces MMEngine's, which loads what fits and only logs the rest, in every config of the
    process, for checkpoints with ``meta['converted']`` (see :mod:`.loaders`); for all others
    MMEngine's runs unchanged, and reads them a second time. ``init_cfg=dict(type=<class
    PretrainedInit of MMEngine>)``, the class instead of its name, bypasses this.

    Of a converted checkpoint a module without a child ``backbone`` takes the names below
    ``backbone.``, any other module takes all. Every parameter and running statistic of the module
    must be there in its shape, and nothing may be left over in a child that the module has, or it
    raises :class:`WeightsMismatchError`. Others (``layer4``) are left out with a warning.

    Args:
        checkpoint (str): File, address or published name.
        prefix (str, optional): Take the names below it. Defaults to None, as described.
        map_location (str): As in ``torch.load``. Defaults to ``'cpu'``.
    """

    def __call__(self, module: nn.Module) -> None:
        checkpoint = CheckpointLoader.load_checkpoint(
            self.checkpoint, self.map_location, logger='silent'
        )
        if not is_converted(checkpoint):
            super().__call__(module)
            return
        weights = self._weights_for(module, checkpoint['state_dict'])
        foreign = check_fit(module, weights, self.checkpoint)
        network = type(module).__name__
        if foreign:
            what = f'{len(foreign)} weights are left out, as the {network} has no such part'
            line = f'{self.checkpoint}: {what} ({listed(foreign)})'
            print_log(line, 'current', logging.WARNING)
        kept = {name: value for name, value in weights.items() if name not in foreign}
        module.load_state_dict(kept, strict=False)  # but for num_batches_tracked
        line = f'{len(kept)} weights, all of the {network}, loaded from: {self.checkpoint}'
        print_log(line, 'current')
        if hasattr(module, '_params_init_info'):
            update_init_info(module, init_info=self._get_init_info())

    def _weights_for(self, module: nn.Module, state_dict: dict) -> dict:
        if self.prefix is None and hasattr(module, 'backbone'):
            return drop_surplus_outputs(module, state_dict)
        prefix = (self.prefix or 'backbone').rstrip('.') + '.'
        weights = below(state_dict, prefix)
        if not weights:
            parts = sorted({name.partition('.')[0] for name in state_dict})
            raise WeightsMismatchError(
                f'{self.checkpoint} has nothing below {prefix} (prefix of init_cfg), but '
                f'{listed(parts)}'
            )
        return weights
