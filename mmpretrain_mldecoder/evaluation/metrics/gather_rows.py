"""Bring the rows that the ranks hold onto the main process, as arrays."""

import torch
from mmengine.dist import all_gather, is_main_process
from torch import Tensor

# With NCCL the rows pass through the GPU, beside the model: what is there at a time is kept small.
_CHUNK_BYTES = 32 * 2**20


def gather_rows(rows: Tensor) -> Tensor | None:
    """Return the rows of all ranks on the main process, None on the others.

    The order is that of MMEngine's ``collect_results`` and undoes its samplers: the first row of
    every rank, then the second of every rank, and so on. Without distributed training it is
    ``rows`` itself. Every rank must call this, also one without rows.

    Args:
        rows (Tensor): The rank's own rows on the CPU; dtype and trailing shape are the same on
            all ranks, the number of rows is not.

    Shape:
        - rows: ``(n, ...)``, ``n`` may be 0.
        - Output: ``(sum of n, ...)``.
    """
    lengths = torch.cat(all_gather(torch.tensor([len(rows)])))
    if len(lengths) == 1:
        return rows
    longest = int(lengths.max())
    row_bytes = rows.element_size() * rows.shape[1:].numel()
    step = max(1, _CHUNK_BYTES // max(1, row_bytes))
    num_gathered = int(lengths.sum()) if is_main_process() else 0
    gathered = rows.new_empty((num_gathered, *rows.shape[1:]))
    filled = 0
    for start in range(0, longest, step):
        own = rows[start : start + step]
        # Collectives want equal shapes: short and empty ranks are filled up, `valid` cuts it off.
        block = rows.new_zeros((min(step, longest - start), *rows.shape[1:]))
        block[: len(own)] = own
        blocks = all_gather(block)
        if is_main_process():
            valid = torch.arange(start, start + len(block))[:, None] < lengths
            part = torch.stack(blocks, dim=1)[valid]  # (rows, ranks, ...) -> (valid, ...)
            gathered[filled : filled + len(part)] = part
            filled += len(part)
    return gathered if is_main_process() else None
