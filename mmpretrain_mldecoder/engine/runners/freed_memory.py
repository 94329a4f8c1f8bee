"""Freed memory of a run on the CPU, kept for its next step."""

import ctypes

import torch

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of malloc.h
_MOST = 2**31 - 1


def keep_freed_memory() -> None:
    """Let glibc keep freed blocks for the next ones, where computations run on the CPU.

    Activations are tens of megabytes each. By default, glibc maps such blocks for each step and
    gives them back to the kernel, which clears every page when it is touched again: a third of the
    time of a training step. The process stays as large as its largest step was. No number changes.
    With a GPU, or another C library than glibc, nothing is done.
    """
    if torch.cuda.is_available():
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(_M_MMAP_MAX, 0)
    mallopt(_M_TRIM_THRESHOLD, _MOST)
