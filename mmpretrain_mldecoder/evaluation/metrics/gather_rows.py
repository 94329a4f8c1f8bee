"""Bring rows that the ranks hold to those who need them, as arrays."""

import torch
from mmengine.dist import all_gather, is_main_process
from torch import Tensor

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
