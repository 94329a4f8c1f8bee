"""What differs between the pixels of a run and those that its weights were trained with."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

import torch
from mmpretrain.apis import ModelHub

from ...checkpoints import timm_models
from ...datasets.transforms import SquareResize


def pixel_differences(checkpoint: str, preprocessor: Any, steps: Iterable) -> str:
    """Return what differs from the pixels that published weights were trained with, or ''.

    Mean, standard deviation and order of the channels, size and interpolation of the steps of a
    pipeline, built or as configs, are compared with timm's ``pretrained_cfg`` for ``timm://``,
    where timm is installed, else with the row of the model index that has these weights.
    """
    source = str(checkpoint).partition('#')[0]
    theirs, whose = _of_timm(source), 'timm'
    if not theirs:
        theirs, whose = _of_row(source)
    parts = [
        f'{key} {value} ({whose}: {theirs[key]})'
        for key, value in (_pixels(preprocessor, steps) if theirs else {}).items()
        if value != theirs.get(key, value)
    ]
    return f'{source} was trained with other pixels: {"; ".join(parts)}' if parts else ''


def _of_timm(source: str) -> dict[str, str]:
    """Return the pixels of ``timm://MODEL.TAG``, empty for another name or without timm."""
    cfg = None
    with suppress(ImportError):
        if source.startswith('timm://'):
            cfg = timm_models.pretrained_cfg(source.removeprefix('timm://'))
    if cfg is None:
        return {}
    values = cfg.to_dict()
    return dict(
        channels='RGB',
        mean=_numbers(values['mean']),
        std=_numbers(values['std']),
        size=' x '.join(map(str, values['input_size'][1:])),
        interpolation=values['interpolation'],
    )


def _of_row(source: str) -> tuple[dict[str, str], str]:
    """Return the pixels and the name of the row with these weights, empty without one."""
    # a copy, as the first `get` adds the rows of the host
    for name, row in [*ModelHub._models_dict.items()]:
        if row.weights == source and row.config:
            cfg = ModelHub.get(name).config
            if cfg.get('data_preprocessor') and cfg.get('test_dataloader'):
                return _pixels(cfg.data_preprocessor, cfg.test_dataloader.dataset.pipeline), name
    return {}, ''


def _pixels(preprocessor: Any, steps: Iterable) -> dict[str, str]:
    """Return what the network sees of images, from the parts or from their configs."""
    pixels = dict(channels='RGB' if getattr(preprocessor, 'to_rgb', False) else 'BGR')
    # of 0 to 255, as it has where nothing is normalised
    for key, default in dict(mean=0.0, std=1.0).items():
        value = torch.as_tensor(getattr(preprocessor, key, default), dtype=torch.float)
        pixels[key] = _numbers((value.flatten().expand(3) / 255).tolist())
    for step in steps:
        size = getattr(step, 'scale', getattr(step, 'crop_size', None))
        sides = [size, size] if isinstance(size, int) else size
        if not (isinstance(sides, Sequence) and all(isinstance(side, int) for side in sides)):
            continue  # a factor
        pixels['size'] = ' x '.join(map(str, sides))
        is_resize = SquareResize.__name__ in (type(step).__name__, getattr(step, 'type', ''))
        if is_resize or hasattr(step, 'interpolation'):
            pixels['interpolation'] = getattr(step, 'interpolation', 'bilinear')
    return pixels


def _numbers(values: Iterable[float]) -> str:
    return ', '.join(f'{value:.3f}' for value in values)
