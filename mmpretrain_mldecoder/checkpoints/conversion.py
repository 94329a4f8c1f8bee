"""Conversion of published weights to the names of our models, whatever their family.

Each family has a module that knows its names: ``family_of(names)`` tells whether they are its own,
``rename(state)`` what every tensor becomes.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..fileio.terminal import listed
from . import efficientnet_lite, miil, paddleclas, timm_torchvision
from .weight_sets import WeightSet, choose

_MODULES = (paddleclas, miil, timm_torchvision, efficientnet_lite)


@dataclass(frozen=True)
class Conversion:
    """Published weights in the names of a whole ``ImageClassifier``."""

    # 'paddleclas', 'miil' (the authors of ML-Decoder), 'timm', 'torchvision', whose ResNet names
    # timm's plain ResNets share, or 'efficientnet_lite'
    family: str
    state_dict: dict[str, Tensor]  # backbone.* and head.*, in the order of the file
    sources: dict[str, str]  # each of these names to the name in the file that it comes from
    # Names in the file that become nothing: num_batches_tracked, which no norm with a fixed
    # momentum reads; Teacher.* of PaddleClas' distillations.
    skipped: tuple[str, ...]
    classes: tuple[str, ...] | None = None  # their names in order, from idx_to_class of miil


def convert(checkpoint: Mapping, weights: WeightSet | None = None) -> Conversion:
    """Rename and reshape published weights.

    Args:
        checkpoint (Mapping): What the file held: a state dict, or a dict around one or more
            (:func:`.choose`). Values are numpy arrays or tensors.
        weights (WeightSet, optional): Those that are meant. Defaults to what :func:`.choose` finds.

    Returns:
        Conversion: Every name of the weights is in it, as a source or as skipped.

    Raises:
        ValueError: If the names are of no known family, or if some of them are unknown.
    """
    weights = weights or choose(checkpoint, 'the checkpoint')
    prefix, state = weights.prefix, weights.state
    module = next((module for module in _MODULES if module.family_of(state)), None)
    if module is None:
        raise ValueError(
            'The names are not those of PaddleClas, the authors, timm or torchvision: '
            f'{listed(state, 10) or "(none)"}'
        )
    family, tensors = module.family_of(state), as_tensors(state)
    counters: dict[str, dict[str, Tensor]] = {
        name: {} for name in tensors if name.endswith('.num_batches_tracked')
    }
    renamed = counters | module.rename({n: t for n, t in tensors.items() if n not in counters})
    unknown = [name for name in tensors if name not in renamed]
    if unknown:
        raise ValueError(
            f'{len(unknown)} of {len(tensors)} names are unknown in a network of {family}: '
            f'{listed(unknown, 10)}'
        )
    state_dict: dict[str, Tensor] = {}
    sources: dict[str, str] = {}
    for name in tensors:
        for ours, tensor in renamed[name].items():
            if ours in sources:
                raise ValueError(f'{sources[ours]} and {prefix + name} are the same weight, {ours}')
            state_dict[ours] = tensor.contiguous()
            sources[ours] = prefix + name
    return Conversion(
        family=family,
        state_dict=state_dict,
        sources=sources,
        skipped=tuple(prefix + name for name in tensors if not renamed[name]),
        classes=_classes(checkpoint.get('idx_to_class')),
    )


def to_checkpoint(conversion: Conversion, source: str) -> dict:
    """Return a checkpoint in MMEngine's format, of tensors and plain values only.

    Its ``meta`` has the provenance in ``converted``, ``source`` (a published name, an address or a
    file name) included, and the ``classes``, where they are known, in ``dataset_meta``.
    """
    meta = dict(
        converted=dict(source=source, family=conversion.family, skipped=list(conversion.skipped))
    )
    if conversion.classes is not None:
        meta['dataset_meta'] = dict(classes=list(conversion.classes))
    return dict(meta=meta, state_dict=dict(conversion.state_dict))


def family_of(names: Collection[str]) -> str | None:
    """Return the family that has these names, None if none has."""
    return next(filter(None, (module.family_of(names) for module in _MODULES)), None)


def as_tensors(state: Mapping) -> dict[str, Tensor]:
    """Return weights as tensors, which share their memory; ``ValueError`` for anything else."""
    tensors = {}
    for name, value in state.items():
        if isinstance(value, np.ndarray | np.generic):
            value = torch.from_numpy(np.asarray(value))
        if not isinstance(value, Tensor):
            raise ValueError(f'{name} is a {type(value).__name__}, not an array or tensor')
        tensors[name] = value.detach()
    return tensors


def _classes(idx_to_class: object) -> tuple[str, ...] | None:
    if not isinstance(idx_to_class, Mapping):
        return None
    by_index = {str(index): str(name) for index, name in idx_to_class.items()}
    indices = [str(i) for i in range(len(by_index))]
    # Keys that number no outputs: the authors' infer.py takes the names as they come.
    return tuple(by_index[i] for i in (indices if {*indices} == {*by_index} else by_index))
