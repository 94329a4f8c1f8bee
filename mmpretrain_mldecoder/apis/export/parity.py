"""Do the scores of an exported model agree with torch's?"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from mmengine.model import BaseModel
from torch import Tensor

BATCHES = (1, 2, 7)
"""Batch sizes that are compared; 1 is what exporters take for a constant."""


@dataclass(frozen=True)
class Difference:
    """How far apart the scores are, of pictures of one size in batches of one size."""

    batch: int
    num_pictures: int
    height: int
    width: int
    largest: float
    mean: float


def torch_scores(model: BaseModel, pictures: Tensor) -> Tensor:
    """Return the ``pred_score`` that the test tool computes, ``(N, C)``, float32."""
    with torch.no_grad():
        samples = [s for batch in pictures.split(16) for s in model.test_step(dict(inputs=batch))]
    return torch.stack([sample.pred_score for sample in samples])


def compare_scores(
    scores_of: Callable[[Tensor], Tensor],
    expected: Tensor,
    pictures: Tensor,
    batches: Sequence[int] = BATCHES,
) -> list[Difference]:
    """Compare the scores of an exported model with expected ones.

    Args:
        scores_of (Callable): Gives the scores of a batch.
        expected (Tensor): ``(N, C)``.
        pictures (Tensor): Packed, ``(N, 3, H, W)``; those of a last, smaller batch count too.
        batches (Sequence[int]): Batch sizes; where there are fewer pictures, they are repeated to
            fill one. Defaults to 1, 2 and 7.

    Returns:
        list[Difference]: One a batch size. A score that is not a number makes ``largest`` none.
    """
    rows = []
    for size in batches:
        # a whole batch at least
        at = torch.arange(max(size, len(pictures))) % len(pictures)
        scores = torch.cat([scores_of(batch) for batch in pictures[at].split(size)])
        apart = (scores - expected[at]).abs()
        height, width = pictures.shape[2:]
        rows.append(
            Difference(size, len(pictures), height, width, apart.max().item(), apart.mean().item())
        )
    return rows


def rounding_of_torch(model: BaseModel, pictures: Tensor) -> dict[str, float]:
    """Return how far torch's own scores move by rounding alone, at most.

    Compared with its scores in float32 are those in channels-last order, where the sums are taken
    in another order, and those in float64. An export that is off by about as much is not wrong.
    """
    expected = torch_scores(model, pictures)
    other_order = copy.deepcopy(model).to(memory_format=torch.channels_last)
    return {
        'channels-last': _apart(torch_scores(other_order, pictures), expected),
        'float64': _apart(_float64_scores(model, pictures), expected),
    }


def _float64_scores(model: BaseModel, pictures: Tensor) -> Tensor:
    model = copy.deepcopy(model)
    # The data preprocessor turns whatever it gets to float32, so it is left out of the cast.
    prepared = model.data_preprocessor(dict(inputs=pictures))['inputs'].double()
    model.double()
    with torch.no_grad():
        samples = [s for batch in prepared.split(16) for s in model(batch, mode='predict')]
    return torch.stack([sample.pred_score for sample in samples])


def _apart(scores: Tensor, expected: Tensor) -> float:
    return (scores - expected).abs().max().item()
