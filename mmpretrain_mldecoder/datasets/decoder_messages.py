"""Catch what the decoders of pictures write to standard error."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def caught_standard_error() -> Iterator[list[str]]:
    """Collect the lines that are written to standard error, by C libraries too.

    libjpeg tells of damaged data in this way only: the call succeeds. The whole process is
    affected, so this is for worker processes, where nothing else writes.

    Yields:
        list[str]: Empty at first; it holds the lines when the block is left.
    """
    lines: list[str] = []
    saved = os.dup(2)
    try:
        with tempfile.TemporaryFile() as file:
            os.dup2(file.fileno(), 2)
            try:
                yield lines
            finally:
                os.dup2(saved, 2)
                file.seek(0)
                lines += file.read().decode(errors='replace').splitlines()
    finally:
        os.close(saved)
