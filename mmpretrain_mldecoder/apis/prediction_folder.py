"""Folder of predictions as JSON lines and CSV, which an interrupted prediction resumes.

::

    out/
        settings.json           what all predictions here were made with
        predictions.jsonl       complete, one line per image, in the order of the inputs
        failed.jsonl            images that could not be read, and why; absent if there are none
        predictions.csv         on request
        partial/                while it runs: predictions.<rank>.jsonl and failed.<rank>.jsonl

Every rank appends to files of its own; at the end the main process merges them.
"""

import csv
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from mmengine.dist import barrier, get_dist_info

from ..fileio.atomic_write import atomic_write, write_file
from ..fileio.json_files import JsonLinesAppender, json_line, read_json_lines
from ..fileio.terminal import counted

_FIX = 'Name another --out-dir, or replace them with --overwrite.'


class PredictionFolder:
    """Results of images, added one by one and merged at the end; an image is its path.

    The results depend on the ``settings``, plain data. ``paths`` are all images, in the order of
    the results, perhaps with duplicates; under ``torch.distributed`` the ranks, which must get the
    same arguments, share them. Earlier results are kept if they were made with the same settings,
    of images in ``paths``, unless ``overwrite`` replaces them. A prediction of which
    ``is_complete`` says that something, such as its drawing, is not there, is made again.

    Attributes:
        todo (list[str]): What this rank has left to predict.
        num_done (int): How many images have their results already, over all ranks.

    Raises:
        ValueError: If the folder holds results of other settings or of other images.
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        settings: dict,
        paths: Sequence[str],
        overwrite: bool = False,
        is_complete: Callable[[dict], bool] = lambda prediction: True,
    ):
        self.folder = Path(folder)
        self.predictions = self.folder / 'predictions.jsonl'
        self.failed = self.folder / 'failed.jsonl'
        self._settings = self.folder / 'settings.json'
        self._partial = self.folder / 'partial'
        self._paths = paths
        self._rank, num_ranks = get_dist_info()
        if overwrite and self._rank == 0:
            # Only files of these names; drawings are replaced one by one.
            failed = (self.failed, *self._partial.glob('failed.*.jsonl'))
            for old in (self._settings, *failed, *self._sources()):
                old.unlink(missing_ok=True)
        barrier()
        self._check_settings(settings)
        done = self._done(is_complete)
        self.num_done = len(done)
        # Shared out before what is done is removed: by then, other ranks may have done more.
        shared = list(dict.fromkeys(paths))[self._rank :: num_ranks]
        self.todo = [path for path in shared if path not in done]
        if self._rank == 0:
            text = json.dumps(settings, ensure_ascii=False, indent=1)
            write_file(self._settings, f'{text}\n')
        barrier()  # all have read what is done before one adds to it
        failed = self._partial / f'failed.{self._rank}.jsonl'
        failed.unlink(missing_ok=True)  # what failed before is tried again
        self._new = JsonLinesAppender(self._partial / f'predictions.{self._rank}.jsonl')
        self._new_failed = JsonLinesAppender(failed)

    def add(self, prediction: dict) -> None:
        """Keep a prediction, a dict with ``path``; a kill from now on does not lose it."""
        self._new.add(prediction)

    def add_failure(self, failure: dict) -> None:
        """Keep the ``path`` of an image that cannot be read, and the ``reason``."""
        self._new_failed.add(failure)

    def finish(self) -> int | None:
        """Wait for all ranks, and merge their results on the main process.

        Returns there how many images could not be read, and None on other ranks.
        """
        self._new.close()
        self._new_failed.close()
        barrier()
        if self._rank:
            return None
        # The newest line of each image: its file, and where it begins.
        places = {record['path']: place for *place, record in self._predictions()}
        with ExitStack() as stack, atomic_write(self.predictions) as out, out.open('wb') as file:
            sources = {s: stack.enter_context(s.open('rb')) for s, _ in places.values()}
            for path in self._paths:
                if path in places:
                    source, offset = places[path]
                    sources[source].seek(offset)
                    file.write(sources[source].readline())
        failures = {
            record['path']: record
            for path in sorted(self._partial.glob('failed.*.jsonl'))
            for _, record in read_json_lines(path)
        }
        missing = [path for path in dict.fromkeys(self._paths) if path not in places]
        if missing:
            write_predictions((failures[path] for path in missing), self.failed)
        else:
            self.failed.unlink(missing_ok=True)
        shutil.rmtree(self._partial)
        return len(missing)

    def read(self) -> Iterator[dict]:
        """Yield the merged predictions, in the order of the images."""
        return (record for _, record in read_json_lines(self.predictions))

    def _sources(self) -> list[Path]:
        return [self.predictions, *sorted(self._partial.glob('predictions.*.jsonl'))]

    def _check_settings(self, settings: dict) -> None:
        if not self._settings.is_file():
            if any(source.is_file() for source in self._sources()):
                raise ValueError(
                    f'{self.folder} holds predictions, but no settings.json that says how they '
                    f'were made. {_FIX}'
                )
            return
        try:
            old = json.loads(self._settings.read_text('utf-8'))
        except (ValueError, RecursionError):
            old = None
        old = old if isinstance(old, dict) else {}  # damaged: all settings are other ones
        new = json.loads(json.dumps(settings))  # a tuple becomes a list
        changes = []
        for key in sorted({*old, *new}):
            was, now = old.get(key), new.get(key)
            if was != now:
                is_short = max(len(str(was)), len(str(now))) <= 60
                changes.append(f'{key} was {was} and is {now}' if is_short else key)
        if changes:
            raise ValueError(
                f'{self.folder} holds predictions that were made with other settings: '
                f'{", ".join(changes)}. {_FIX}'
            )

    def _done(self, is_complete: Callable[[dict], bool]) -> set[str]:
        """Return the paths of the complete predictions; all must be of images in ``paths``."""
        known, done, others = set(self._paths), set(), {}
        for _, _, record in self._predictions():
            if record['path'] not in known:
                others[record['path']] = None
            elif is_complete(record):
                done.add(record['path'])
        if others:
            raise ValueError(
                f'{self.folder} holds predictions of {counted(len(others), "image")} not among the '
                f'inputs, such as {next(iter(others))}. {_FIX}'
            )
        return done

    def _predictions(self) -> Iterator[tuple[Path, int, dict]]:
        """Yield file, offset and record of the lines that name an image."""
        for source in self._sources():
            for offset, record in read_json_lines(source):
                if isinstance(record.get('path'), str):
                    yield source, offset, record


def write_predictions(predictions: Iterable[dict], out: str | os.PathLike) -> Path:
    """Write one JSON object per line: ``path`` (or ``index``), ``labels``, ``scores``.

    The file is complete or absent; its folder is made, an older file is replaced.
    """
    with atomic_write(out) as path, path.open('wb') as file:
        file.writelines(map(json_line, predictions))
    return Path(out)


def write_prediction_table(
    predictions: Iterable[dict], classes: Sequence[str], out: str | os.PathLike
) -> Path:
    """Write a CSV of one row per image and one column per class, after the column ``path``.

    A cell holds the score of a predicted label, with 6 decimals, and is empty elsewhere. A path or
    a name that a spreadsheet would take for a formula gets an apostrophe before it.
    """
    with (
        atomic_write(out) as path,
        path.open('w', encoding='utf-8', errors='surrogateescape', newline='') as file,
    ):
        rows = csv.writer(file, lineterminator='\n')
        rows.writerow(['path', *map(_as_text, classes)])
        for prediction in predictions:
            scores = dict(zip(prediction['labels'], prediction['scores'], strict=True))
            cells = (f'{scores[name]:.6f}' if name in scores else '' for name in classes)
            rows.writerow([_as_text(prediction['path']), *cells])
    return Path(out)


def _as_text(cell: str) -> str:
    """Keep a spreadsheet from evaluating a name."""
    cell = cell.replace('\r', r'\r')  # the csv module would not quote it, and begin a new row
    return f"'{cell}" if cell.startswith(('=', '+', '-', '@', '\t')) else cell
