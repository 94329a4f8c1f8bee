"""Rows of the result tables: a config, its cost, published numbers and measured ones."""

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path, PurePath
from typing import NamedTuple

import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmpretrain.registry import MODELS
from modelindex.load_model_index import load
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from ...engine.runners.finished_test import FinishedTest, read_finished_test, settings_digest

# Images of the full split that a number of the dataset is of. Of COCO 2014 the authors' configs
# leave out the 367 without labels. OpenImages has no split of a size that is known here.
FULL_SPLITS = {'ImageNet-1k': 50_000, 'COCO 2017': 5_000, 'COCO 2014': 40_137}


class ModelCost(NamedTuple):
    """Learnable parameters, and the FLOPs of one image, a multiply-add as 2."""

    parameters: int
    flops: int


@dataclass(frozen=True)
class TableRow:
    """One config and what its metafile says.

    ``published`` has ``mAP`` or ``Top 1`` and other numbers as the source prints them, and
    ``Source``, a text for each language.
    """

    name: str  # of the model, as get_model takes it
    label: str  # rows with the same backbone and weights share it
    dataset: str  # what the row's number is of
    weights: str | None  # published ones of the whole model
    published: Mapping
    path: Path  # the config's file, in configs/<folder>/
    cfg: Config  # its content

    @property
    def metric(self) -> str:
        """Name of the row's number among the published ones."""
        return 'Top 1' if self.dataset == 'ImageNet-1k' else 'mAP'

    @cached_property
    def cost(self) -> ModelCost:
        """Parameters and FLOPs of the model, at the image size of the test."""
        return model_cost(self.cfg, image_side(self.cfg))

    def measured(self, test: FinishedTest) -> float | None:
        """Return the row's number of a test, in the unit of the published ones; None if absent."""
        if self.metric == 'mAP':
            return test.metrics.get('coco/mAP')
        percent = test.metrics.get('accuracy/top1')
        return None if percent is None else percent / 100


def read_rows(model_index: Path) -> list[TableRow]:
    """Read all rows of ``model-index.yml``, in its order; ``configs`` lies beside it."""
    return [
        TableRow(
            name=model.name,
            label=model.metadata.data['Row'],
            dataset=model.results[0].dataset,
            weights=model.weights,
            published=model.metadata.data.get('Published', {}),
            path=model_index.parent / model.config,
            cfg=Config.fromfile(model_index.parent / model.config),
        )
        for model in load(str(model_index)).models
    ]


def newest_results(
    rows: list[TableRow], folder: Path, note: Callable[[str], None]
) -> dict[str, FinishedTest]:
    """Find the newest finished test of each row, by the name of the row.

    A test belongs to a row if folder and name of its config and its settings (model, preprocessing,
    metric) are the row's, and it covers the full split, without test-time augmentation. All
    ``test_*.json`` below the folder are read; ``note`` is called with the reason for each that is
    left out.
    """
    by_config = {row.path.parts[-2:]: row for row in rows}
    newest = {}
    for path in sorted(folder.rglob('test_*.json')):
        try:
            test = read_finished_test(path)
        except ValueError as error:
            note(f'left out: {error}')
            continue
        row = by_config.get(PurePath(test.config).parts[-2:])
        reason = 'its config is that of no row' if row is None else _reason_to_refuse(row, test)
        if reason:
            note(f'left out: {path} ({test.config}): {reason}')
        elif row.name not in newest or newest[row.name].date < test.date:
            newest[row.name] = test
    return newest


def _reason_to_refuse(row: TableRow, test: FinishedTest) -> str | None:
    full = FULL_SPLITS.get(row.dataset)
    if test.images != full:
        known = f'{row.dataset} has {full:,}' if full else f'that of {row.dataset} is not known'
        return f'{test.images:,} images were tested, not the full split: {known}'
    if test.tta:
        return 'it is with test-time augmentation, and the tables are without'
    if test.settings != settings_digest(row.cfg):
        return 'model, preprocessing or metric are not those of the config'
    if row.measured(test) is None:
        return f'it has no {row.metric}'
    return None


def image_side(cfg: Config) -> int:
    """Return the side in pixels of the squares that the config's test pipeline makes."""
    for step in reversed(cfg.test_dataloader.dataset.pipeline):
        if step['type'] in ('SquareResize', 'CenterCrop'):
            return step['scale' if step['type'] == 'SquareResize' else 'crop_size']
    raise ValueError(f'{cfg.filename}: the test pipeline has no SquareResize and no CenterCrop')


def model_cost(cfg: Config, side: int) -> ModelCost:
    """Count the learnable parameters and the FLOPs of a config's model on an image of a side.

    The model is built without weights. FLOPs are those of the operations that
    ``torch.utils.flop_counter`` knows: convolutions and matrix products, attention included. Raises
    ``RuntimeError`` if the model needs timm, and it is not installed.
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
