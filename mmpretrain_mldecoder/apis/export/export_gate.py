"""What must hold before an exported file gets its name."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from torch import Tensor

from .parity import Difference, compare_scores, rounding_of_torch, torch_scores
from .split_metric import split_metric

TOLERANCES = dict(fp32=1e-4, fp16=1e-2)
"""How far a score may be from torch's. Trained networks are 1e-6 and 1e-3 away."""


@dataclass
class Export:
    """What was exported and seen.

    Attributes:
        path (Path): The file.
        metadata (dict): What is in it, see docs/export.md.
        num_bytes (int): Its size.
        differences (list[Difference]): Of the scores, between torch and the file.
        tolerance (float, optional): How large they may be; None for int8.
        metric (str, optional): For int8, the name of the metric before and after.
        before (float, optional): Of torch, in percent.
        after (float, optional): Of the file, in percent.
        rounding (dict[str, float]): How far torch's own scores move by rounding; filled where the
            scores do not agree.
        written (bool): Whether the file has its name.
    """

    path: Path
    metadata: dict
    num_bytes: int = 0
    differences: list[Difference] = field(default_factory=list)
    tolerance: float | None = None
    metric: str | None = None
    before: float | None = None
    after: float | None = None
    rounding: dict[str, float] = field(default_factory=dict)
    written: bool = False

    @property
    def largest(self) -> float:
        return torch.tensor([row.largest for row in self.differences]).max().item()


class ParityError(RuntimeError):
    """The exported file gives other scores than torch; ``export`` holds what was seen."""

    def __init__(self, message: str, export: Export):
        super().__init__(message)
        self.export = export


def check_parity(
    export: Export,
    model: BaseModel,
    groups: list[Tensor],
    scores_of: Callable[[Tensor], Tensor],
    tolerance: float | None = None,
) -> None:
    """Compare the scores of photos in batches of 1, 2 and 7, and fill ``export.differences``.

    Args:
        export (Export): Of the file.
        model (BaseModel): What was exported.
        groups (list[Tensor]): Photos, ``(N, 3, H, W)``, one tensor a size.
        scores_of (Callable): Gives the file's scores of a batch.
        tolerance (float, optional): Defaults to None, which means ``TOLERANCES``; none for int8.

    Raises:
        ParityError: If a score is further off.
    """
    for group in groups:
        expected = torch_scores(model, group)
        export.differences += compare_scores(scores_of, expected, group)
    precision = export.metadata['source']['precision']
    if precision == 'int8':
        return
    export.tolerance = TOLERANCES[precision] if tolerance is None else tolerance
    if not export.largest <= export.tolerance:
        export.rounding = rounding_of_torch(model, groups[0])
        raise ParityError(
            f'scores are up to {export.largest:.2g} off, more than {export.tolerance:g}: '
            f'{export.path} is not written',
            export,
        )


def check_metric(
    export: Export,
    config: Config,
    model: BaseModel,
    scores_of: Callable[[Tensor], Tensor],
    max_map_drop: float,
) -> None:
    """Evaluate model and file on the config's test data, and fill ``metric``, before and after.

    Raises:
        ParityError: If the metric falls by more than ``max_map_drop`` points.
    """
    runs = dict(before=lambda batch: torch_scores(model, batch), after=scores_of)
    export.metric, values = split_metric(config, runs)
    export.before, export.after = values['before'], values['after']
    if not export.before - export.after <= max_map_drop:
        raise ParityError(
            f'{export.metric} falls from {export.before:.2f} to {export.after:.2f}, by more than '
            f'{max_map_drop:g}: {export.path} is not written',
            export,
        )


def first_line(error: Exception) -> str:
    """Name an error in one line."""
    return f'{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}'
