"""Read a large file into memory at once."""

import contextlib
import mmap
import os
from pathlib import Path

# a pipe, whose size nobody knows beforehand, counts as 0 bytes
_LARGE_BYTES = 16_000_000


def read_whole_file(path: str | Path) -> bytes | memoryview:
    """Return the bytes of a file; those of a large one on Linux in half the time of ``read``.

    Most of the time of a large ``read`` goes into the pages of new memory, which the kernel clears
    and hands out one by one. Huge pages are 512 times fewer. (To map the file itself would be as
    fast, but the process dies if somebody shortens the file meanwhile.)

    Raises:
        OSError: As ``open``.
    """
    with open(path, 'rb') as file:
        size = os.fstat(file.fileno()).st_size
        if size < _LARGE_BYTES or not hasattr(mmap, 'MADV_HUGEPAGE'):
            return file.read()
        buffer = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        with contextlib.suppress(OSError):  # a kernel built without huge pages
            buffer.madvise(mmap.MADV_HUGEPAGE)
        return memoryview(buffer)[: file.readinto(buffer)]
