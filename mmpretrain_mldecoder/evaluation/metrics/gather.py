"""Exchange of rows, values per class and errors between ranks."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from mmengine import dist
from torch import Tensor

# Arrays with a row per image, as `sample_arrays` returns them.
Batch = Mapping[str, np.ndarray]

# What one exchange brings to a rank from all others together. With NCCL it passes through the GPU,
# beside the model: what is there at a time is kept small.
_EXCHANGE_BYTES = 64 * 2**20
# As many as AP turns to contiguous rows at a time.
_CLASSES_OF_A_RANK = 64


@contextmanager
def raise_on_all_ranks() -> Iterator[None]:
    """Raise on all ranks the ``ValueError`` that the block raises on one, the first of several.

    Otherwise the other ranks would wait in their next exchange. All ranks must come by, and the
    block must not exchange anything: a rank that has failed would not answer.
    """
    error = None
    try:
        yield
    except ValueError as raised:
        error = raised
    messages = dist.all_gather_object(None if error is None else str(error))
    first = next((message for message in messages if message is not None), None)
    if first is not None:
        raise ValueError(first) from error


def gather_rows(rows: Tensor, columns: slice = slice(None)) -> Tensor:
    """Return some columns of the rows ``(n, C)`` of all ranks; every rank must call this.

    The order is that of MMEngine's ``collect_results`` and undoes its samplers: the first row of
    every rank, then the second of every rank, and so on. The rows are on the CPU; dtype and columns
    are the same on all ranks, the number of rows, which may be 0, is not. Each rank keeps its own
    ``columns``, and memory is needed for these alone.
    """
    lengths = torch.cat(dist.all_gather(torch.tensor([len(rows)])))
    if len(lengths) == 1:
        return rows[:, columns]
    gathered = rows.new_empty(int(lengths.sum()), rows[:0, columns].shape[1])
    longest, filled = int(lengths.max()), 0
    row_bytes = rows.element_size() * rows.shape[1] * len(lengths)
    step = max(1, _EXCHANGE_BYTES // max(1, row_bytes))
    for start in range(0, longest, step):
        own = rows[start : start + step]
        # Collectives want equal shapes: short and empty ranks are filled up, `valid` cuts it off.
        block = rows.new_zeros(min(step, longest - start), rows.shape[1])
        block[: len(own)] = own
        valid = torch.arange(start, start + len(block))[:, None] < lengths
        # (rows, ranks, columns) -> (valid, columns)
        part = torch.stack([one[:, columns] for one in dist.all_gather(block)], dim=1)[valid]
        gathered[filled : filled + len(part)] = part
        filled += len(part)
    return gathered


def gather_batches(batches: Sequence[Batch], names: Sequence[str]) -> dict[str, np.ndarray] | None:
    """Return complete arrays ``(N, C)`` of all ranks on the main process, None on the others.

    Each rank gives at least one batch, perhaps without rows.
    """
    columns = slice(None) if dist.is_main_process() else slice(0, 0)
    gathered = {name: gather_rows(_rows(batches, name), columns).numpy() for name in names}
    return gathered if dist.is_main_process() else None


def class_values(
    batches: Sequence[Batch], names: Sequence[str], function: Callable[..., np.ndarray]
) -> np.ndarray:
    """Compute values per class from the rows of all ranks, each rank for some of the classes.

    A rank gets the columns of few classes at a time: beside its rows, at least one batch and
    perhaps without rows, it needs memory for 64 classes of all images and for one exchange. The
    function takes the arrays of these names as ``(N, c)`` and returns ``(V, c)``, which must not
    depend on the order of the rows. A ``ValueError`` of it is raised on all ranks.

    Returns ``(V, C)`` float64, the same on all ranks.
    """
    num_classes = batches[0][names[0]].shape[1]
    world_size, rank = dist.get_world_size(), dist.get_rank()
    width = min(_CLASSES_OF_A_RANK, -(-num_classes // world_size))
    own = slice(rank * width, (rank + 1) * width)
    values = []
    for start in range(0, num_classes, width * world_size):
        classes = slice(start, min(start + width * world_size, num_classes))
        block = [gather_rows(_rows(batches, name, classes), own).numpy() for name in names]
        with raise_on_all_ranks():
            own_values = function(*block)
        all_values = np.zeros((len(own_values), classes.stop - start))
        all_values[:, own] = own_values
        values.append(all_values)
    reduced = torch.from_numpy(np.concatenate(values, axis=1))
    dist.all_reduce(reduced)  # all but one addend are 0
    return reduced.numpy()


def _rows(batches: Sequence[Batch], name: str, columns: slice = slice(None)) -> Tensor:
    return torch.from_numpy(np.concatenate([batch[name][:, columns] for batch in batches]))
