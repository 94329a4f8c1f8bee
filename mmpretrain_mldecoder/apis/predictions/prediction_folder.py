"""The folder of a prediction's results, which an interrupted prediction goes on from.

::

    out/
        settings.json           what all predictions here were made with
        predictions.jsonl       complete, one line an image, in the order of the inputs
        failed.jsonl            images that could not be read, and why; absent if there are none
        predictions.csv         on request
        partial/                while it runs: predictions.<rank>.jsonl and failed.<rank>.jsonl

Every process appends to files of its own. At the end one of them merges all into the complete
files. An image is known by its path.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ...fileio.atomic_write import atomic_write
from ...fileio.json_files import JsonLinesAppender, json_line, read_json_lines
from .processes import Processes


class PredictionFolder:
    """Results of images, added one by one and merged at the end.

    Args:
        folder (str | PathLike): It is made if it is not there.
        settings (dict): What the results depend on, plain data.
        paths (Sequence[str]): All images, in the order of the results; one may be there twice.
        processes (Processes): Defaults to a single one. All must get the same arguments.
        overwrite (bool): Whether results that are there are made anew. Defaults to False: they are
            kept, if they were made with the same settings and of images in ``paths``.
        is_whole (Callable, optional): Tells whether all that belongs to a prediction (a dict) is
            there, such as its drawing; else it is made again. Defaults to None: always.

    Attributes:
        todo (list[str]): What this process is to predict, without what is there already.
        num_done (int): How many of the images are there already, of all processes together.

    Raises:
        ValueError: If the folder holds results of other settings or of other images.
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        settings: dict,
        paths: Sequence[str],
        processes: Processes = Processes(),  # noqa: B008 - it is frozen
        overwrite: bool = False,
        is_whole: Callable[[dict], bool] | None = None,
    ):
        self.folder = Path(folder)
        self.predictions = self.folder / 'predictions.jsonl'
        self.failed = self.folder / 'failed.jsonl'
        self.partial = self.folder / 'partial'
        self._paths = paths
        self._processes = processes
        self._prepare(settings, overwrite)
        unique = list(dict.fromkeys(paths))
        done = self._done(set(unique), is_whole)
        self.num_done = len(done)
        # By the place among all, not among what is left: that depends on when one looks.
        self.todo = [path for path in unique[processes.rank :: processes.size] if path not in done]
        processes.wait_for_all()  # until all have looked, so that they count the same
        failed = self.partial / f'failed.{processes.rank}.jsonl'
        failed.unlink(missing_ok=True)  # what failed before is tried again
        self._predictions = JsonLinesAppender(self.partial / f'predictions.{processes.rank}.jsonl')
        self._failed = JsonLinesAppender(failed)

    def add(self, prediction: dict) -> None:
        """Keep a prediction, a dict with ``path``; a kill from now on does not lose it."""
        self._predictions.add(prediction)

    def add_failure(self, path: str, reason: str) -> None:
        """Note an image that cannot be read."""
        self._failed.add(dict(path=path, reason=reason))

    def finish(self) -> bool:
        """Wait for all processes, and merge their results.

        Returns:
            bool: Whether this is the process that merged.
        """
        self._predictions.close()
        self._failed.close()
        self._processes.wait_for_all()
        if self._processes.rank:
            return False
        places = self._places()
        with atomic_write(self.predictions) as out, out.open('wb') as file:
            for line in self._lines(places):
                file.write(line)
        reasons = {
            record['path']: record['reason']
            for path in sorted(self.partial.glob('failed.*.jsonl'))
            for _, record in read_json_lines(path)
        }
        lost = [path for path in dict.fromkeys(self._paths) if path not in places]
        if lost:
            with atomic_write(self.failed) as out, out.open('wb') as file:
                for path in lost:
                    file.write(json_line(dict(path=path, reason=reasons[path])))
        else:
            self.failed.unlink(missing_ok=True)
        shutil.rmtree(self.partial)
        return True

    def read(self) -> Iterator[dict]:
        """Yield the merged predictions, in the order of the images."""
        return (record for _, record in read_json_lines(self.predictions))

    def num_failed(self) -> int:
        """Count the images in ``failed.jsonl``."""
        return sum(1 for _ in read_json_lines(self.failed))

    def _sources(self) -> list[Path]:
        return [self.predictions, *sorted(self.partial.glob('predictions.*.jsonl'))]

    def _prepare(self, settings: dict, overwrite: bool) -> None:
        """Make the folder fit for these settings, or raise."""
        path = self.folder / 'settings.json'
        if not overwrite:
            self._check(path, settings)
        elif self._processes.rank == 0:
            # Only files of these names; drawings are replaced one by one.
            for old in (path, self.failed, *self._sources(), *self.partial.glob('failed.*.jsonl')):
                old.unlink(missing_ok=True)
        self._processes.wait_for_all()
        if self._processes.rank == 0:
            with atomic_write(path) as out:
                out.write_text(json.dumps(settings, ensure_ascii=False, indent=1) + '\n', 'utf-8')

    def _check(self, path: Path, settings: dict) -> None:
        way_out = 'Name another --out-dir, or replace them with --overwrite.'
        if not path.is_file():
            if any(source.is_file() for source in self._sources()):
                raise ValueError(
                    f'{self.folder} holds predictions, and no settings.json tells how they were '
                    f'made. {way_out}'
                )
            return
        try:
            old = json.loads(path.read_text('utf-8'))
        except (ValueError, RecursionError):
            old = None
        if not isinstance(old, dict):  # damaged: then all settings are other ones
            old = {}
        # Through JSON, where a tuple is a list.
        new = json.loads(json.dumps(settings))
        changed = [key for key in sorted({*old, *new}) if old.get(key) != new.get(key)]
        if changed:
            raise ValueError(
                f'{self.folder} holds predictions that were made with other settings: '
                f'{", ".join(_change(key, old.get(key), new.get(key)) for key in changed)}. '
                f'{way_out}'
            )
        known = set(self._paths)
        others = [path for path in self._places() if path not in known]
        if others:
            raise ValueError(
                f'{self.folder} holds predictions of {len(others)} images that are not among '
                f'the inputs, such as {others[0]}. {way_out}'
            )

    def _done(self, paths: set[str], is_whole: Callable[[dict], bool] | None) -> set[str]:
        return {
            record['path']
            for source in self._sources()
            for _, record in self._records(source)
            if record['path'] in paths and (is_whole is None or is_whole(record))
        }

    def _places(self) -> dict[str, tuple[Path, int]]:
        """Find the newest line of each image: its file, and where it begins."""
        return {
            record['path']: (source, offset)
            for source in self._sources()
            for offset, record in self._records(source)
        }

    @staticmethod
    def _records(source: Path) -> Iterator[tuple[int, dict]]:
        """Yield the predictions of a file; one that names no image is none."""
        found = read_json_lines(source)
        return ((offset, record) for offset, record in found if isinstance(record.get('path'), str))

    def _lines(self, places: dict[str, tuple[Path, int]]) -> Iterator[bytes]:
        files = {source: source.open('rb') for source, _ in places.values()}
        try:
            for path in self._paths:
                if path in places:
                    source, offset = places[path]
                    files[source].seek(offset)
                    yield files[source].readline()
        finally:
            for file in files.values():
                file.close()


def _change(key: str, old, new) -> str:
    """Say what is different, as far as that is short."""
    if max(len(str(old)), len(str(new))) > 60:
        return key
    return f'{key} was {old} and is {new}'
