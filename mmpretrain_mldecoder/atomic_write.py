"""Write a file so that a reader never meets half of it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_write(out: str | os.PathLike) -> Iterator[Path]:
    """Give a temporary path beside ``out``, and rename it to ``out`` at the end.

    If the block raises, the temporary file is removed and an older ``out`` stays as it was.

    Args:
        out (str | PathLike): The file; its folder is made, an older file is replaced.

    Yields:
        Path: Where to write; in the same folder, under a hidden name.

    Example:
        >>> with atomic_write('out/notes.txt') as path:  # doctest: +SKIP
        ...     path.write_text('whole or absent')
    """
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(f'.{out.name}.{os.getpid()}')
    try:
        yield temporary
        temporary.replace(out)
    finally:
        temporary.unlink(missing_ok=True)
