"""Exchange of evaluation rows and errors between ranks."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from mmengine.dist import (
    all_gather,
    all_gather_object,
    all_reduce,
    get_rank,
    get_world_size,
    is_main_process,
)
from torch import Tensor


@contextmanager
def fail_together() -> Iterator[None]:
    """Raise on every process what the block raises on one, in place of leaving the others to wait.

    The first rank's error is taken if there are several. Every process must come by, and the block
    must not talk to other processes: one that has failed would not answer.

    Raises:
        ValueError: If the block has raised one, here or elsewhere.
    """
    error = None
    try:
        yield
    except ValueError as raised:
        error = raised
    messages = all_gather_object(None if error is None else str(error))
    first = next((message for message in messages if message is not None), None)
    if first is not None:
        raise ValueError(first) from error


# What one exchange brings to a rank from all others together. With NCCL it passes through the GPU,
# beside the model: what is there at a time is kept small.
_EXCHANGE_BYTES = 64 * 2**20


def gather_rows(rows: Tensor, columns: slice | None = None) -> Tensor | None:
    """Return the rows of all ranks: all columns on the main process, or those that a rank names.

    The order is that of MMEngine's ``collect_results`` and undoes its samplers: the first row of
    every rank, then the second of every rank, and so on. Without distributed training it is
    ``rows`` itself, or its columns. Every rank must call this, also one without rows.

    Args:
        rows (Tensor): The rank's own rows on the CPU; dtype and trailing shape are the same on
            all ranks, the number of rows is not.
        columns (slice, optional): Which columns this rank keeps, another range on each rank
            perhaps; memory is needed for these alone. Defaults to None: all on the main process,
            and none on the others, which get None.

    Shape:
        - rows: ``(n, ...)``, ``n`` may be 0.
        - Output: ``(sum of n, ...)``.
    """
    if columns is None and is_main_process():
        columns = slice(None)
    lengths = torch.cat(all_gather(torch.tensor([len(rows)])))
    if len(lengths) == 1:
        return _kept(rows, columns)
    longest = int(lengths.max())
    row_bytes = rows.element_size() * rows.shape[1:].numel() * len(lengths)
    step = max(1, _EXCHANGE_BYTES // max(1, row_bytes))
    gathered = None
    if columns is not None:
        gathered = rows.new_empty((int(lengths.sum()), *_kept(rows[:0], columns).shape[1:]))
    filled = 0
    for start in range(0, longest, step):
        own = rows[start : start + step]
        # Collectives want equal shapes: short and empty ranks are filled up, `valid` cuts it off.
        block = rows.new_zeros((min(step, longest - start), *rows.shape[1:]))
        block[: len(own)] = own
        blocks = all_gather(block)
        if columns is not None:
            valid = torch.arange(start, start + len(block))[:, None] < lengths
            # (rows, ranks, ...) -> (valid, ...)
            part = torch.stack([_kept(one, columns) for one in blocks], dim=1)[valid]
            gathered[filled : filled + len(part)] = part
            filled += len(part)
    return gathered


def _kept(rows: Tensor, columns: slice) -> Tensor:
    return rows if columns == slice(None) else rows[:, columns]


# As many as AP turns to contiguous rows at a time.
_CLASSES_OF_A_RANK = 64

Batch = Mapping[str, np.ndarray]


def batches_of_rows(batches: Sequence[Batch], chosen: np.ndarray) -> list[Batch]:
    """Keep some of this rank's rows.

    Args:
        batches (Sequence[Batch]): Arrays with a row an image.
        chosen (np.ndarray): Boolean, of all rows of all ranks in the order of :func:`gather_rows`.
    """
    own = sum(len(batch['scores']) for batch in batches)
    lengths = torch.cat(all_gather(torch.tensor([own]))).numpy()
    # the order is row by row and within that rank by rank
    of_ranks = np.zeros((lengths.max(), len(lengths)), dtype=bool)
    of_ranks[np.arange(lengths.max())[:, None] < lengths] = chosen
    of_batches = np.split(
        of_ranks[:own, get_rank()], np.cumsum([len(batch['scores']) for batch in batches])[:-1]
    )
    return [
        batch if rows.all() else {name: array[rows] for name, array in batch.items()}
        for batch, rows in zip(batches, of_batches, strict=bool(batches))
    ]


def class_values(
    batches: Sequence[Batch], empty: Batch, function: Callable[..., np.ndarray]
) -> np.ndarray:
    """Compute what belongs to a class, each rank for some classes, from the rows of all ranks.

    A rank brings its rows and takes the columns of few classes at a time: beside its rows it needs
    memory for 64 classes of all images and for one exchange.

    Args:
        batches (Sequence[Batch]): This rank's rows, perhaps none, as arrays ``(n, C)``.
        empty (Batch): The arrays that take part, with 0 rows.
        function (Callable): Takes the arrays by name, as ``(N, c)``, and returns ``(V, c)``. What
            it returns must not depend on the order of the rows. A ValueError of it is raised on all
            ranks.

    Shape:
        - Output: ``(V, C)`` float64, the same on all ranks.
    """
    num_classes = next(iter(empty.values())).shape[1]
    world_size, rank = get_world_size(), get_rank()
    width = min(_CLASSES_OF_A_RANK, -(-num_classes // world_size))
    values = []
    for start in range(0, num_classes, width * world_size):
        exchanged = slice(start, min(start + width * world_size, num_classes))
        own = slice(rank * width, (rank + 1) * width)
        block = {}
        for name, nothing in empty.items():
            parts = [nothing, *(batch[name] for batch in batches)]
            rows = np.concatenate([part[:, exchanged] for part in parts])
            block[name] = gather_rows(torch.from_numpy(rows), own).numpy()
        with fail_together():
            of_block = function(**block)
        everyone = np.zeros((len(of_block), exchanged.stop - start))
        everyone[:, own] = of_block
        values.append(everyone)
    values = torch.from_numpy(np.concatenate(values, axis=1))
    all_reduce(values)  # all but one addend are 0
    return values.numpy()


def gather_batches(batches: Sequence[Batch], empty: Batch) -> dict[str, np.ndarray] | None:
    """Return the arrays of all ranks, whole, on the main process, and None on the others.

    Args:
        batches (Sequence[Batch]): This rank's rows.
        empty (Batch): The arrays that are wanted, with 0 rows.
    """
    gathered = {}
    for name, nothing in empty.items():
        rows = np.concatenate([nothing, *(batch[name] for batch in batches)])
        gathered[name] = gather_rows(torch.from_numpy(rows))
    if any(rows is None for rows in gathered.values()):
        return None
    return {name: rows.numpy() for name, rows in gathered.items()}
