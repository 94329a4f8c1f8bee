"""Parity of an exported model with torch: scores, metric, and the report."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.model import BaseModel
from mmengine.registry import DefaultScope
from rich.console import Console, Group
from rich.progress import track
from rich.table import Table
from rich.text import Text
from torch import Tensor

from ...engine import PortableRunner
from ...errors import ParityError
from ...fileio.terminal import counted

BATCHES = (1, 2, 7)
"""Batch sizes that are compared; exporters take 1 for a constant."""

TOLERANCES = dict(fp32=1e-4, fp16=1e-2)
"""How far a score may be from torch's. Trained networks are 1e-6 and 1e-3 away."""


@dataclass(frozen=True)
class Difference:
    """How far apart the scores are, of images of one size in batches of one size."""

    batch: int
    num_images: int
    height: int
    width: int
    largest: float
    mean: float


@dataclass
class Export:
    """What was exported, and how it compares with torch."""

    path: Path
    metadata: dict  # what is in the file, see docs/export.md
    num_bytes: int = 0
    differences: list[Difference] = field(default_factory=list)  # of scores, from torch's
    tolerance: float | None = None  # how large they may be; None for int8
    metric: str | None = None  # its name, for int8
    before: float | None = None  # the metric of torch, in percent
    after: float | None = None  # and of the file
    # Where the scores do not agree, how far rounding moves torch's.
    rounding: dict[str, float] = field(default_factory=dict)
    written: bool = False  # whether the file has its name

    @property
    def largest(self) -> float:
        """The largest difference; nan if a score is not a number."""
        return torch.tensor([row.largest for row in self.differences]).max().item()


def check_parity(
    export: Export,
    model: BaseModel,
    groups: list[Tensor],
    scores_of: Callable[[Tensor], Tensor],
    tolerance: float | None = None,
) -> None:
    """Fill ``export.differences`` for images grouped by size, or raise a ``ParityError``."""
    for images in groups:
        export.differences += compare_scores(scores_of, torch_scores(model, images), images)
    precision = export.metadata['source']['precision']
    if precision == 'int8':
        return
    export.tolerance = TOLERANCES[precision] if tolerance is None else tolerance
    if not export.largest <= export.tolerance:
        export.rounding = rounding_of_torch(model, groups[0])
        off = f'scores are up to {export.largest:.2g} off, more than {export.tolerance:g}'
        raise ParityError(f'{off}: {export.path} is not written', export)


def torch_scores(model: BaseModel, images: Tensor) -> Tensor:
    """Return the ``pred_score`` that the test tool computes, ``(N, C)``, float32."""
    with torch.no_grad():
        samples = [s for batch in images.split(16) for s in model.test_step(dict(inputs=batch))]
    return torch.stack([sample.pred_score for sample in samples])


def compare_scores(
    scores_of: Callable[[Tensor], Tensor], expected: Tensor, images: Tensor
) -> list[Difference]:
    """Compare the scores of an exported model with the expected ``(N, C)``, per batch size.

    Where there are fewer images, ``(N, 3, H, W)``, than in a batch, they are repeated to fill one;
    those of a last, smaller batch count too. If a score is not a number, ``largest`` is nan.
    """
    rows = []
    for size in BATCHES:
        at = torch.arange(max(size, len(images))) % len(images)  # a full batch at least
        scores = torch.cat([scores_of(batch) for batch in images[at].split(size)])
        apart = (scores - expected[at]).abs()
        height, width = images.shape[2:]
        rows.append(
            Difference(size, len(images), height, width, apart.max().item(), apart.mean().item())
        )
    return rows


def rounding_of_torch(model: BaseModel, images: Tensor) -> dict[str, float]:
    """Return how far torch's own scores move by rounding alone, at most.

    Compared with its scores in float32 are those in channels-last order, where the sums are taken
    in another order, and those in float64. An export that is off by about as much is not wrong.
    """
    other_order = copy.deepcopy(model).to(memory_format=torch.channels_last)
    # The data preprocessor casts to float32, so it is left out of the cast.
    prepared = model.data_preprocessor(dict(inputs=images))['inputs'].double()
    wide = copy.deepcopy(model).double()
    with torch.no_grad():
        samples = [s for batch in prepared.split(16) for s in wide(batch, mode='predict')]
    others = {
        'channels-last': torch_scores(other_order, images),
        'float64': torch.stack([sample.pred_score for sample in samples]),
    }
    expected = torch_scores(model, images)
    return {how: (scores - expected).abs().max().item() for how, scores in others.items()}


def check_metric(
    export: Export,
    config: Config,
    model: BaseModel,
    scores_of: Callable[[Tensor], Tensor],
    max_map_drop: float,
) -> None:
    """Fill ``metric``, ``before`` and ``after`` on the config's test data.

    Raises :class:`ParityError` if the metric falls by more than ``max_map_drop`` points,
    ``ValueError`` if ``test_evaluator`` gives neither an mAP nor the top-1 accuracy.
    """
    loader_config = copy.deepcopy(config.test_dataloader)
    loader_config.update(pin_memory=False, persistent_workers=False)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        loader = PortableRunner.build_dataloader(loader_config, seed=0)
        evaluators = [Evaluator(copy.deepcopy(config.test_evaluator)) for _ in range(2)]
    for evaluator in evaluators:
        evaluator.dataset_meta = loader.dataset.metainfo
    for batch in track(loader, 'comparing', console=Console(stderr=True), transient=True):
        images = batch['inputs']
        both = torch_scores(model, images), scores_of(images)
        for evaluator, scores in zip(evaluators, both, strict=True):
            samples = [sample.clone() for sample in batch['data_samples']]
            for sample, own in zip(samples, scores, strict=True):
                sample.set_pred_score(own)
            evaluator.process(samples)
    before, after = (evaluator.evaluate(len(loader.dataset)) for evaluator in evaluators)
    keys = [key for key in before if key.endswith(('mAP', 'accuracy/top1'))]
    if not keys:
        raise ValueError(f'test_evaluator gives {", ".join(before)}, but no mAP or top-1 accuracy')
    export.metric = keys[0]
    export.before, export.after = float(before[keys[0]]), float(after[keys[0]])
    if not export.before - export.after <= max_map_drop:
        change = f'from {export.before:.2f} to {export.after:.2f}, by more than {max_map_drop:g}'
        raise ParityError(f'{export.metric} falls {change}: {export.path} is not written', export)


def export_report(export: Export) -> Group:
    """Return the score differences, the verdict, and what the file is, for rich to print."""
    table = Table(box=None, pad_edge=False)
    for name in ('batch', 'images', 'height x width', 'largest difference', 'mean'):
        table.add_column(name, justify='right')
    for row in export.differences:
        counts = (f'{row.batch}', f'{row.num_images}', f'{row.height} x {row.width}')
        table.add_row(*counts, f'{row.largest:.2e}', f'{row.mean:.1e}')
    lines = []
    if export.tolerance is not None:
        largest = f'scores differ from those of torch by {export.largest:.2e} at most'
        lines.append(f'{largest}, {export.tolerance:g} is allowed')
    for how, apart in export.rounding.items():
        lines.append(f"torch's own scores differ in {how} by {apart:.2e} at most")
    if export.rounding:
        lines.append('a difference of that order is rounding (--tolerance); a larger one is not')
    if export.metric is not None:
        before, after = f'{export.before:.2f} before', f'{export.after:.2f} after quantization'
        lines.append(f'{export.metric}: {before}, {after}')
    if export.written:
        about = export.metadata
        lines += [
            f'{export.path}: {export.num_bytes / 1e6:.1f} MB, {about["source"]["precision"]}, '
            f'{counted(len(about["classes"]), "class")}, {about["output"]["name"]}, '
            f'{"with" if "thresholds" in about else "no"} thresholds',
            f'input: {about["input"]["dtype"]}, {about["input"]["channels"]}, '
            f'{about["input"]["values"]}; resize: {_steps(about["resize"])}',
        ]
        if needs := about.get('requires'):
            versions = f'opset {needs["opset"]}, IR version {needs["ir_version"]}'
            lines.append(f'needs onnxruntime {needs["onnxruntime"]} or newer ({versions})')
    return Group(table, *map(Text, lines))


def _steps(resize: list[dict] | str) -> str:
    if isinstance(resize, str):
        return resize
    sizes = (step.get('size', f'{step.get("width")}x{step.get("height")}') for step in resize)
    steps = (f'{step["op"]} {size}' for step, size in zip(resize, sizes, strict=True))
    return ', '.join(steps) or 'none, the image as it is'
