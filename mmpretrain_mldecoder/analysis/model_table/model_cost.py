"""Costs of a config's model: learnable parameters, and FLOPs of one image."""

import json
import logging
from functools import cache
from typing import NamedTuple

import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmpretrain.registry import MODELS
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode


class ModelCost(NamedTuple):
    """Learnable parameters, and the FLOPs of one image, a multiply-add as 2."""

    parameters: int
    flops: int


def image_side(cfg: Config) -> int:
    """Return the side in pixels of the squares that the config's test pipeline makes.

    Raises:
        ValueError: If the pipeline has neither ``SquareResize`` nor ``CenterCrop``.
    """
    for step in reversed(cfg.test_dataloader.dataset.pipeline):
        if step['type'] in ('SquareResize', 'CenterCrop'):
            return step['scale' if step['type'] == 'SquareResize' else 'crop_size']
    raise ValueError(f'{cfg.filename}: the test pipeline has no SquareResize and no CenterCrop')


def model_cost(cfg: Config, side: int) -> ModelCost:
    """Count the learnable parameters and the FLOPs of a config's model on an image of a side.

    The model is built without weights. FLOPs are those of the operations that
    ``torch.utils.flop_counter`` knows: convolutions and matrix products, attention included.

    Raises:
        RuntimeError: If the model needs timm, and it is not installed.
    """
    model = cfg.model.to_dict()
    model['backbone'].pop('init_cfg', None)  # the weights that a training starts from
    model.pop('train_cfg', None)  # mixup costs nothing at test time
    return _cost(json.dumps(model, sort_keys=True), side)


@cache  # many rows differ in their weights only
def _cost(model_config: str, side: int) -> ModelCost:
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.WARNING)  # its lines on standard output would be among the tables
    try:
        with _EmptyOnMeta():
            model = MODELS.build(json.loads(model_config)).eval().to('meta')  # shapes are enough
    finally:
        logger.setLevel(level)
    parameters = sum(p.numel() for p in model.parameters() if p.requires_grad)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(torch.empty(1, 3, side, side, device='meta'))
    return ModelCost(parameters, counter.get_total_flops())


class _EmptyOnMeta(TorchFunctionMode):
    """Make new weights without memory, so that no time goes into their initialisation.

    All other tensors are as usual: the host's backbones read numbers from some (``.item()``).
    """

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        return func(*args, **(kwargs | dict(device='meta') if func is torch.empty else kwargs))
