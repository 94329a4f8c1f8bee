"""Prediction of many images into a folder, resumable and on several processes."""

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from mmengine.config import Config
from rich.cells import cell_len

from ...checkpoints.loaders import checkpoint_identity
from ...fileio.terminal import printable, progress_bar
from ...visualization.contact_sheet import contact_sheet
from ...visualization.labelled_image import labelled_image
from ..inference.multi_label_inferencer import MultiLabelInferencer, Threshold
from .prediction_file import write_prediction_table
from .prediction_folder import PredictionFolder
from .processes import Processes

MAX_ON_SHEET = 60  # a sheet of more images is too long to look at
DRAWINGS = {'images': '.jpg', 'attention': '.png'}


@dataclass(frozen=True)
class PredictionOptions:
    """What is given for each image, and drawn of it.

    Attributes:
        thr (float | str): As in :class:`MultiLabelInferencer`.
        topk (int, optional): As there.
        images (bool): Whether each image is drawn with its labels.
        attention (bool): Whether the attention of each label is drawn.
        per_head (bool): Whether that is drawn for each attention head.
        csv (bool): Whether ``predictions.csv`` is written.
    """

    thr: Threshold = 0.5
    topk: int | None = None
    images: bool = False
    attention: bool = False
    per_head: bool = False
    csv: bool = False


def model_identity(config: str | os.PathLike | None, checkpoint: str | os.PathLike) -> dict:
    """Return the names of config and checkpoint, and 8 digits of the checkpoint's SHA-256.

    MMPretrain puts these digits into the names of its files. For the checkpoint see
    :func:`checkpoint_identity`. A config of None is that in the checkpoint.
    """
    identity = checkpoint_identity(checkpoint)
    return dict(
        config=config and os.path.basename(config),
        checkpoint=identity['checkpoint'],
        sha256=identity['sha256'] and identity['sha256'][:8],
    )


class PredictionRun:
    """Predict images, and keep and draw what comes.

    Args:
        inferencer (MultiLabelInferencer): The model.
        identity (dict): What :func:`model_identity` gives; stands in every line.
        paths (Sequence[str]): The images, in the order of the results. One that is there twice is
            predicted once.
        options (PredictionOptions): What is given and drawn.
        out_dir (str | PathLike, optional): Folder of the results, see :class:`PredictionFolder`.
            What was drawn there is no image to predict. Defaults to None: nothing is written.
        processes (Processes): Defaults to a single one.
        overwrite (bool): Whether earlier results there are made anew. Defaults to False.

    Attributes:
        paths (list[str]): The images.
        todo (list[str]): Those that this process predicts.
        num_done (int): How many are there from before.
        num_failed (int): How many this process could not read; after :meth:`finish`, how many
            could not be read of all, in the process that merged.

    Raises:
        ValueError: If an option is wrong, if there is nothing to predict, if ``out_dir`` holds
            results of other settings or images, or two drawings would have one name.
    """

    def __init__(
        self,
        inferencer: MultiLabelInferencer,
        identity: dict,
        paths: Sequence[str],
        options: PredictionOptions,
        out_dir: str | os.PathLike | None = None,
        processes: Processes = Processes(),  # noqa: B008 - it is frozen
        overwrite: bool = False,
    ):
        inferencer.check(options.thr, options.topk, options.attention)
        self.inferencer = inferencer
        self.options = options
        self.num_failed = 0
        self._identity = identity
        self._thresholds = dict(
            zip(inferencer.classes, inferencer.thresholds(options.thr).tolist(), strict=True)
        )
        self._drawn = [name for name in DRAWINGS if getattr(options, name)]
        self._out = None if out_dir is None else Path(out_dir)
        self.paths = self._without_drawings(paths)
        if not self.paths:
            raise ValueError(f'no image among the inputs but what was drawn in {out_dir}')
        self._folder = None
        if self._out is None:
            unique = list(dict.fromkeys(self.paths))
            self.todo, self.num_done = unique[processes.rank :: processes.size], 0
            return
        for name in self._drawn:
            check_names_differ(self.paths, DRAWINGS[name])
        self._folder = PredictionFolder(
            self._out, self._settings(), self.paths, processes, overwrite, self._is_drawn
        )
        self.todo, self.num_done = self._folder.todo, self._folder.num_done

    def run(
        self,
        on_prediction: Callable[[dict], None],
        on_unreadable: Callable[[str, str], None],
    ) -> None:
        """Predict what is to do.

        Args:
            on_prediction (Callable): Called with each prediction, when it is kept.
            on_unreadable (Callable): Called with path and reason of an image that cannot be read.
        """

        def note(path: str, reason: str) -> None:
            self.num_failed += 1
            if self._folder:
                self._folder.add_failure(path, reason)
            on_unreadable(path, reason)

        for prediction in self.inferencer.stream_expanded(
            self.todo, self.options.thr, self.options.topk, self.options.attention, note
        ):
            if self._folder:
                self._draw(prediction)  # first: what is kept is never looked at again
                self._folder.add(self._line(prediction))
            on_prediction(prediction)

    def finish(self) -> list[Path]:
        """Merge, and draw the contact sheet.

        Returns:
            list[Path]: The files that are complete now; empty in the processes that did not merge,
            and without a folder.
        """
        if self._folder is None or not self._folder.finish():
            return []
        self.num_failed = self._folder.num_failed()
        files = [self._folder.predictions]
        table = self._out / 'predictions.csv'
        if self.options.csv or table.is_file():  # an older one must not lag behind
            write_prediction_table(self._folder.read(), self.inferencer.classes, table)
            files.append(table)
        files += [self._out / name for name in self._drawn]
        shown = list(islice(self._folder.read(), MAX_ON_SHEET))
        if shown:
            sheet = self._out / 'contact_sheet.png'
            files.append(contact_sheet([p['path'] for p in shown], shown, sheet))
        if self.num_failed:
            files.append(self._folder.failed)
        return files

    def _without_drawings(self, paths: Sequence[str]) -> list[str]:
        if self._out is None:
            return list(paths)
        out = os.path.abspath(self._out)
        ours = tuple(os.path.join(out, name, '') for name in DRAWINGS)
        sheet = os.path.join(out, 'contact_sheet.png')
        absolute = ((path, os.path.abspath(path)) for path in paths)
        return [path for path, full in absolute if full != sheet and not full.startswith(ours)]

    def _settings(self) -> dict:
        """Return what the results depend on."""
        config = self.inferencer.config
        parts = dict(
            model=config.model,
            data_preprocessor=config.get('data_preprocessor'),
            pipeline=config.test_dataloader.dataset.pipeline,
        )
        text = json.dumps(Config(parts).to_dict(), sort_keys=True, default=str)
        return dict(
            model=self._identity,
            model_and_pipeline_sha256=hashlib.sha256(text.encode()).hexdigest()[:8],
            thr=self.options.thr,
            topk=self.options.topk,
            thresholds=self._thresholds,
        )

    def _line(self, prediction: dict) -> dict:
        return dict(
            path=prediction['path'],
            labels=prediction['labels'],
            scores=prediction['scores'],
            thresholds=[self._thresholds[label] for label in prediction['labels']],
            model=self._identity,
        )

    def _drawing(self, kind: str, path: str) -> Path:
        return self._out / kind / drawing_name(path, DRAWINGS[kind])

    def _is_drawn(self, prediction: dict) -> bool:
        kinds = [kind for kind in self._drawn if kind == 'images' or prediction['labels']]
        return all(self._drawing(kind, prediction['path']).is_file() for kind in kinds)

    def _draw(self, prediction: dict) -> None:
        path = prediction['path']
        if self.options.images:
            image = self.inferencer.pipeline.for_drawing(path)
            labelled_image(image, prediction, self._drawing('images', path))
        if self.options.attention and prediction['labels']:
            from ...visualization.attention_figure import attention_figure

            out = self._drawing('attention', path)
            attention_figure(prediction, out, per_head=self.options.per_head)


OUTSIDE = '_'
"""Folder of what lies outside the current folder."""


def drawing_name(path: str, suffix: str) -> Path:
    """Return the name of the drawing of an image, relative to the folder of the drawings.

    It is the path of the image as seen from the current folder, with ``suffix``: ``a/1.jpg`` and
    ``b/1.jpg`` have their own. The path of an image outside the current folder follows ``_``.

    Args:
        path (str): Of the image.
        suffix (str): Such as ``'.png'``; it is added unless the name ends in it already.
    """
    absolute = os.path.abspath(path)
    relative = os.path.relpath(absolute)
    first = Path(relative).parts[0]
    if first in (os.pardir, OUTSIDE) or os.path.isabs(relative):
        relative = os.path.join(OUTSIDE, os.path.splitdrive(absolute)[1].lstrip(os.sep))
    return Path(relative if relative.endswith(suffix) else relative + suffix)


def check_names_differ(paths: Iterable[str], suffix: str) -> None:
    """Raise a ``ValueError`` if the drawings of two different files would have one name."""
    owners: dict[Path, str] = {}
    for path in paths:
        other = owners.setdefault(drawing_name(path, suffix), path)
        if os.path.abspath(other) != os.path.abspath(path):
            raise ValueError(
                f'the drawings of {other} and {path} would have the same name: predict them into '
                'different folders'
            )


def run_and_print(run: PredictionRun, bar: bool = True) -> None:
    """Predict what is to do, and print it.

    Each prediction is a line on stdout, when it is kept; each unreadable image one on stderr.

    Args:
        run (PredictionRun): It is run, and not finished.
        bar (bool): Whether there is a progress bar on stderr, if there is more than one batch.
            Defaults to True.
    """
    table = PredictionTable(run.paths, run.inferencer.classes)
    long = len(run.todo) > run.inferencer.batch_size
    with progress_bar(disable=not (bar and long)) as progress:
        task = progress.add_task('predicting', total=len(run.todo))

        def show(prediction: dict) -> None:
            # In one piece: print would let another process write between text and newline.
            sys.stdout.write(table.row(prediction) + '\n')
            sys.stdout.flush()
            progress.advance(task)

        def report(path: str, reason: str) -> None:
            sys.stderr.write(f'cannot read image {printable(path)}: {printable(reason)}\n')
            progress.advance(task)

        run.run(show, report)


class PredictionTable:
    """Format predictions so that their columns stand under each other.

    Args:
        paths (Iterable[str]): Those of all images to come.
        labels (Iterable[str]): All names that may come.
    """

    def __init__(self, paths: Iterable[str], labels: Iterable[str]):
        self._path_width = max((cell_len(printable(path)) for path in paths), default=0)
        self._label_width = max((cell_len(printable(label)) for label in labels), default=0)

    def row(self, prediction: dict) -> str:
        """Return one line: path, labels and scores, ``-`` if there is no label."""
        pairs = zip(prediction['labels'], prediction['scores'], strict=True)
        cells = [
            f'{_pad(printable(label), self._label_width)} {score:.3f}' for label, score in pairs
        ]
        path = _pad(printable(prediction['path']), self._path_width)
        return f'{path}  {"  ".join(cells) or "-"}'


def _pad(text: str, width: int) -> str:
    return text + ' ' * (width - cell_len(text))
