"""Skipping of unreadable images in training, up to a limit."""

import logging
from pathlib import Path

from mmengine.logging import print_log

from ..errors import TooManyUnreadableError, UnreadableImageError
from ..fileio.json_files import json_line, read_json_lines
from ..fileio.terminal import counted, listed, printable

MAX_LISTED = 20


class UnreadableLog:
    """The images that could not be read, each counted once.

    All processes with the same ``file`` (a JSON with ``path`` and ``reason`` per line) count
    together. By default it is None: a process counts its own, and logs each.
    """

    def __init__(self) -> None:
        self.file: Path | None = None
        self._own: dict[str, str] = {}

    def add(self, error: UnreadableImageError) -> dict[str, str]:
        """Add an image, and return the reasons of all so far, by path."""
        if self.file is None:
            if error.path not in self._own:
                self._own[error.path] = error.reason
                print_log(f'{error}; another one takes its place', 'current', logging.WARNING)
            return self._own
        if error.path not in (found := read_unreadable(self.file)):
            with self.file.open('ab', buffering=0) as file:  # or lines of two processes could mix
                file.write(json_line(dict(path=error.path, reason=error.reason)))
            found = read_unreadable(self.file)
        return found


def read_unreadable(file: Path) -> dict[str, str]:
    """Return the reasons by path that :class:`UnreadableLog` wrote; none if there is no file.

    An incomplete line is skipped: another process is writing it, or the disk was full.
    """
    return {
        record['path']: record['reason']
        for _, record in read_json_lines(file)
        if all(isinstance(record.get(key), str) for key in ('path', 'reason'))
    }


class SkipUnreadableMixin:
    """Makes a dataset of MMEngine replace the sample of an unreadable image by another one.

    Put it before the dataset class and behind ``SeededSamplesMixin``, under whose seed the other
    sample is drawn. Training only: with ``test_mode``, and in validation and tests of
    ``PortableRunner``, the error is raised, because a score on other images is not that of the
    dataset.

    Unreadable is what raises :class:`UnreadableImageError`, as ``LoadWholeImage`` does. Under
    ``PortableRunner`` all workers and ranks that share its work dir count together, from its
    start; elsewhere each worker counts its own.

    Args:
        max_unreadable (int): Number of different images that may be unreadable, at least 0; one
            more ends the training with a list of them. Defaults to 10.
        *args, **kwargs: Arguments of the dataset.

    Attributes:
        checks_files (bool): False where annotations are loaded without looking for their images.
        skips_unreadable (bool): False where the error is raised without ``test_mode``, too.
        unreadable (UnreadableLog): The unreadable images so far.

    Raises:
        ValueError: If ``max_unreadable`` is not an int of at least 0.
        TooManyUnreadableError: When a sample is requested, as described above.
    """

    checks_files = True

    def __init__(self, *args, max_unreadable: int = 10, **kwargs):
        if not isinstance(max_unreadable, int) or max_unreadable < 0:
            raise ValueError(f'max_unreadable is an int of at least 0, not {max_unreadable!r}')
        self.max_unreadable = max_unreadable
        self.skips_unreadable = True
        self.unreadable = UnreadableLog()
        super().__init__(*args, **kwargs)

    def prepare_data(self, idx: int) -> dict | None:
        """Return the output of the pipeline, None if the image cannot be read."""
        try:
            return super().prepare_data(idx)
        except UnreadableImageError as error:
            if self.test_mode or not self.skips_unreadable:
                raise
            found = self.unreadable.add(error)
            if len(found) > self.max_unreadable:
                raise TooManyUnreadableError(self._too_many(found)) from error
            return None

    def _too_many(self, found: dict[str, str]) -> str:
        paths = [f'{printable(path)} ({reason})' for path, reason in found.items()]
        where = f', all in {self.unreadable.file}' if self.unreadable.file else ''
        return (
            f'{counted(len(found), "image")} cannot be read, more than max_unreadable='
            f'{self.max_unreadable} of the dataset: {listed(paths, MAX_LISTED)}{where}'
        )
