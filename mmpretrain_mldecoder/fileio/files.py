"""Reading of files: checked first bytes, and fast reads of large files."""

import contextlib
import mmap
import os
from pathlib import Path

# First bytes of what is not the file itself: what it is, and the fix.
STAND_INS = {
    b'version https://git-lfs': ('a pointer of git-lfs', 'fetch the file with git lfs pull'),
    b'\x1f\x8b': ('compressed with gzip', 'unpack it with gunzip'),
    b'BZh': ('compressed with bzip2', 'unpack it with bunzip2'),
    b'\xfd7zXZ': ('compressed with xz', 'unpack it with unxz'),
    b'\x28\xb5\x2f\xfd': ('compressed with zstd', 'unpack it with unzstd'),
}


def stand_in(head: bytes) -> str:
    """Return what a file is in place of itself, and the fix, by its first bytes; '' if nothing."""
    found = (
        f'it is {what}: {fix}' for start, (what, fix) in STAND_INS.items() if head.startswith(start)
    )
    return next(found, '')


def read_head(path: Path, what: str) -> bytes:
    """Return the first 512 bytes of a local file that should hold ``what``, such as ``'weights'``.

    Raises ``FileNotFoundError``, and ``ValueError`` if it is empty or a web page.
    """
    if not path.is_file():
        raise FileNotFoundError(f'no {what} at {path}' + (' (a folder)' if path.is_dir() else ''))
    with path.open('rb') as file:
        head = file.read(512)
    if not head.strip():
        raise ValueError(f'{path} is empty. Download or save it again.')
    if head.lstrip().lower().startswith((b'<!doctype', b'<html', b'<?xml')):
        raise ValueError(
            f'{path} is a web page, not {what}: the server answered with a page instead of the '
            'file. Delete it, and download the file by hand.'
        )
    return head


_LARGE_BYTES = 16_000_000  # a pipe, whose size is unknown beforehand, has 0


def read_whole_file(path: str | os.PathLike) -> bytes | memoryview:
    """Return the bytes of a file; of a large one on Linux in half the time of ``read``.

    A large ``read`` mostly waits for new pages of memory; huge pages are 512 times fewer. (Mapping
    the file would be as fast, but the process dies if somebody shortens the file meanwhile.)
    """
    with open(path, 'rb') as file:
        size = os.fstat(file.fileno()).st_size
        if size < _LARGE_BYTES or not hasattr(mmap, 'MADV_HUGEPAGE'):
            return file.read()
        buffer = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        with contextlib.suppress(OSError):  # a kernel built without huge pages
            buffer.madvise(mmap.MADV_HUGEPAGE)
        return memoryview(buffer)[: file.readinto(buffer)]
