"""Atomic writes: a reader sees the old file or the complete new one."""

import errno
import fcntl
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_TEMPORARY = re.compile(r'\..+\.[0-9a-f]{16}\.tmp')


@contextmanager
def atomic_write(out: str | os.PathLike, sync: bool = True) -> Iterator[Path]:
    """Yield a temporary path in the folder of ``out``, and rename it to ``out`` at the end.

    If the block raises, the temporary file is removed and an older ``out`` stays. If the process is
    killed, the temporary file may be left for :func:`remove_stale_files`.

    The folder of ``out`` is created. The temporary file is empty and hidden, its name unique across
    machines. With ``sync``, bytes and name are on the disk at the end, which survives a crash of
    the machine and takes some milliseconds.

    Raises ``FileExistsError`` at once if ``out`` is a folder, a device (``/dev/null``) or the like.
    """
    out = Path(out)
    if out.exists() and not out.is_file():
        raise FileExistsError(errno.EEXIST, 'Exists, and is not a regular file', str(out))
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary, lock = _create(out)
    try:
        yield temporary
        if sync:
            _sync(temporary)
        temporary.replace(out)
        if sync:
            with suppress(OSError):  # not every file system can sync a folder
                _sync(out.parent)
    finally:
        temporary.unlink(missing_ok=True)
        os.close(lock)


def write_file(out: str | os.PathLike, content: str | bytes, sync: bool = True) -> Path:
    """Write text, in UTF-8, or bytes by :func:`atomic_write`; return ``out`` as a path."""
    with atomic_write(out, sync) as path:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return Path(out)


def remove_stale_files(folder: str | os.PathLike) -> list[Path]:
    """Remove the temporary files that killed writers left in a folder, and return them.

    Writers at work hold a lock; on a file system without locks nothing is removed.
    """
    removed = []
    for path in sorted(Path(folder).glob('.*.tmp')):
        if not _TEMPORARY.fullmatch(path.name):
            continue
        with suppress(OSError), path.open('rb+') as file:  # a writer at work, or gone by now
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
            removed.append(path)
    return removed


def _create(out: Path) -> tuple[Path, int]:
    """Create the temporary file and return it with the descriptor that holds its lock."""
    while True:
        # only the end of a long name, as file systems have a limit
        temporary = out.with_name(f'.{out.name[-40:]}.{secrets.token_hex(8)}.tmp')
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        with suppress(OSError):  # no locks here
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if temporary.exists():
            return temporary, descriptor
        os.close(descriptor)  # taken for a killed writer's before it was locked


def _sync(path: Path) -> None:
    """Flush a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
