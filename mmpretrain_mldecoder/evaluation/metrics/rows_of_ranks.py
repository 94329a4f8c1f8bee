"""Rows that stay on the rank that predicted them, while something is computed of all of them."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from mmengine.dist import all_gather, all_reduce, get_rank, get_world_size

from .fail_together import fail_together
from .gather_rows import gather_rows

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
