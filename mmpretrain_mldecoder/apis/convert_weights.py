"""Conversion of a file of published weights to a checkpoint."""

import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import torch
from mmengine.config import Config
from mmpretrain.registry import MODELS

from ..checkpoints.conversion import Conversion, convert, to_checkpoint
from ..checkpoints.download import download_once
from ..checkpoints.fit import drop_surplus_outputs, load
from ..checkpoints.load import read_weights
from ..checkpoints.published import PUBLISHED, checkpoint_identity, find_published
from ..checkpoints.weight_sets import choose, split_fragment
from ..engine.checks.config_error import read_config
from ..errors import WeightsMismatchError
from ..fileio.atomic_write import atomic_write
from ..version import __version__
from .trained_model import dataset_class_names


def convert_weights(
    source: str,
    out: str | os.PathLike,
    config: str | os.PathLike | Config | None = None,
    backbone_only: bool = False,
) -> Conversion:
    """Convert published weights and write them as a checkpoint that every tool takes.

    Args:
        source (str): A file of PaddleClas (``.pdparams``), the authors (``.pth``), timm or
            torchvision (``.pth``, ``.safetensors``), its address, or a published name such as
            ``'paddleclas://ResNet50_vd'``; ``file.pth#name`` for one of several sets in it.
        out (str | PathLike): The checkpoint, ``.pth``. It is complete or absent.
        config (str | PathLike | Config, optional): The model that the weights must fill exactly.
            Class names that the file lacks are taken from its test dataset, if its annotations are
            there. Defaults to None: nothing is compared.
        backbone_only (bool): Leave the head out, for a model of other classes. Defaults to False.

    Returns:
        Conversion: What was written: the names, where each comes from, the classes.

    Raises:
        FileNotFoundError: If the file or the config is not there.
        ValueError: If the file cannot be converted.
        WeightsMismatchError: If the weights do not fill the model; it lists every name.
        ConnectionError, OSError: If it cannot be downloaded or written.
    """
    name, fragment = split_fragment(source)
    path = _find(name)
    try:
        content = read_weights(path)
        conversion = convert(content, choose(content, source, fragment))
    except ValueError as error:
        raise ValueError(f'{source} cannot be converted: {error}') from error
    if backbone_only:
        conversion = _without_head(conversion)
    if config is not None:
        conversion = _fitted(conversion, read_config(config), source, backbone_only)
    checkpoint = to_checkpoint(conversion, source)
    checkpoint['meta']['converted'] |= dict(
        file=path.name,
        sha256=checkpoint_identity(path)['sha256'],
        mmpretrain_mldecoder_version=__version__,
    )
    with atomic_write(out) as temporary:
        torch.save(checkpoint, temporary)
    return conversion


def _find(source: str) -> Path:
    scheme, separator, _ = source.partition('://')
    if separator and scheme in PUBLISHED:
        return find_published(source)
    if separator and scheme in ('http', 'https'):
        return download_once(source)
    return Path(source).expanduser()


def _without_head(conversion: Conversion) -> Conversion:
    kept = {n: t for n, t in conversion.state_dict.items() if n.startswith('backbone.')}
    sources = {name: conversion.sources[name] for name in kept}
    dropped = [source for name, source in conversion.sources.items() if name not in kept]
    skipped = (*conversion.skipped, *dropped)
    return replace(conversion, state_dict=kept, sources=sources, skipped=skipped, classes=None)


def _fitted(conversion: Conversion, config: Config, source: str, backbone_only: bool) -> Conversion:
    """Check that the model is filled exactly, and add the classes that the config knows."""
    model = MODELS.build(config.model)
    state_dict = drop_surplus_outputs(model, conversion.state_dict)
    mismatch = load(model, state_dict, source)
    lines = {}
    for name in mismatch.missing:
        if not (backbone_only and name.startswith('head.')):
            lines[name] = f'missing in the file: {name}'
    for name, (file, ours) in mismatch.misshaped.items():
        lines[name] = f'another shape: {name} is {file} in the file and {ours} in the model'
    for name in (*mismatch.left_over, *mismatch.foreign):
        lines[name] = f'left over in the file: {conversion.sources[name]} ({name})'
    if lines:
        hint = 'Name the config of the network that the weights are of'
        if all(name.startswith('head.') for name in lines):
            hint = (
                'The backbone fits. Set model.head.num_classes (num_groups for an ML-Decoder) to '
                'those of the file, or keep the backbone alone with --backbone-only'
            )
        listed = ''.join(f'\n  {line}' for line in lines.values())
        raise WeightsMismatchError(
            f'{source} does not fit {config.filename}, {len(lines)} names:{listed}\n{hint}'
        )
    classes, dataset = conversion.classes, config.get('test_dataloader', {}).get('dataset')
    if classes is None and dataset and not backbone_only:
        with suppress(OSError, ValueError):  # its annotations are not here
            classes = tuple(dataset_class_names(dataset)) or None
    return replace(conversion, state_dict=state_dict, classes=classes)
