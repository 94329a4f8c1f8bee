"""Prediction of the images on a command line: results, drawings, and lines to print."""

import atexit
import datetime
import glob
import hashlib
import json
import os
from argparse import Namespace
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from itertools import islice
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.dist import get_dist_info, is_main_process
from rich.cells import cell_len, set_cell_size
from torch import distributed

from ..checkpoints.published import checkpoint_identity
from ..engine.checks.config_error import merge_options, read_config
from ..fileio.terminal import printable, progress_bar
from ..visualization.attention_figure import attention_figure
from ..visualization.labelled_image import contact_sheet, labelled_image
from .inference.image_inputs import expand_inputs
from .inference.multi_label_inferencer import MultiLabelInferencer, Threshold
from .prediction_folder import PredictionFolder, write_prediction_table

MAX_ON_SHEET = 60  # a sheet of more images is too long to look at
DRAWINGS = {'images': '.jpg', 'attention': '.png'}
# The slowest rank may have days more left to do than the others.
_TIMEOUT = datetime.timedelta(days=7)


def join_ranks(device: str | None = None) -> str | None:
    """Join the ranks that ``torchrun`` started, and return the device of this one.

    With None or ``'cuda'`` each of several ranks gets a GPU of its own. Raises ``ValueError`` if
    there are several ranks that cannot find each other.
    """
    world_size = int(os.environ.get('WORLD_SIZE', 1))
    if world_size == 1:
        return device
    missing = {'RANK', 'LOCAL_RANK', 'MASTER_ADDR', 'MASTER_PORT'} - set(os.environ)
    if missing:
        raise ValueError(
            f'WORLD_SIZE is {world_size}, but {", ".join(sorted(missing))} is not set: start '
            'several processes with torchrun'
        )
    distributed.init_process_group('gloo', timeout=_TIMEOUT)
    atexit.register(distributed.destroy_process_group)
    if device in (None, 'cuda') and torch.cuda.is_available():
        return f'cuda:{int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count()}'
    return device


@dataclass(frozen=True)
class PredictionOptions:
    """What is predicted and written; a ``ValueError`` if an option needs another one."""

    out_dir: str | os.PathLike | None = None  # see :class:`PredictionFolder`; None writes nothing
    thr: Threshold = 0.5  # as in :class:`MultiLabelInferencer`, as is ``topk``
    topk: int | None = None
    csv: bool = False  # whether ``predictions.csv`` is written
    images: bool = False  # whether each image is drawn with its labels
    attention: bool = False  # whether the attention of each label is drawn
    per_head: bool = False  # whether it is drawn for each attention head
    overwrite: bool = False  # whether earlier results in ``out_dir`` are replaced

    def __post_init__(self):
        for name in ('csv', 'images', 'attention', 'overwrite'):
            if getattr(self, name) and self.out_dir is None:
                raise ValueError(f'--{name} needs --out-dir, the folder to write to')
        if self.per_head and not self.attention:
            raise ValueError('--per-head needs --attention')


class PredictionRun:
    """Predict images, and write and draw the results; ranks share the images.

    ``paths`` are in the order of the results. A duplicate is predicted once; drawings in the output
    folder are left out. ``given`` is what they were found by, see :func:`drawing_names`.

    Attributes:
        paths (list[str]): The images.
        todo (list[str]): Those that this rank predicts.
        num_done (int): How many have their results already.
        num_failed (int): How many this rank could not read; after :meth:`finish`, on the main
            process, how many no rank could.

    Raises ``ValueError`` if an option is out of range, the model has no checkpoint, there is
    nothing to predict, the output folder holds results of other settings or images, or two drawings
    would have one name.
    """

    def __init__(
        self,
        inferencer: MultiLabelInferencer,
        paths: Sequence[str],
        options: PredictionOptions,
        given: Sequence[str] = (),
    ):
        inferencer.check(options.thr, options.topk, options.attention)
        self.inferencer = inferencer
        self.options = options
        self.num_failed = 0
        thresholds = inferencer.thresholds(options.thr).tolist()
        self._thresholds = dict(zip(inferencer.classes, thresholds, strict=True))
        if inferencer.checkpoint is None:
            raise ValueError(
                'predictions are kept with the name of their checkpoint, and a built model has '
                'none: give the inferencer its checkpoint with pretrained=...'
            )
        identity, config = checkpoint_identity(inferencer.checkpoint), inferencer.config.filename
        self._model = dict(
            config=config and os.path.basename(config),  # None: that in the checkpoint
            checkpoint=identity['checkpoint'],
            sha256=identity['sha256'] and identity['sha256'][:8],  # as in MMPretrain's file names
        )
        self._drawn = [name for name in DRAWINGS if getattr(options, name)]
        self._out = None if options.out_dir is None else Path(options.out_dir)
        self.paths = self._without_drawings(paths)
        self._names = drawing_names(self.paths, given)
        self._widths = _width(self.paths), _width(inferencer.classes)
        self._folder = None
        if self._out is None:
            rank, num_ranks = get_dist_info()
            self.todo, self.num_done = list(dict.fromkeys(paths))[rank::num_ranks], 0
            return
        if not self.paths:
            raise ValueError(f'no image among the inputs but what was drawn in {self._out}')
        for name in self._drawn:
            check_names_differ(self._names, DRAWINGS[name])
        self._folder = PredictionFolder(
            self._out, self._settings(), self.paths, options.overwrite, self._is_drawn
        )
        self.todo, self.num_done = self._folder.todo, self._folder.num_done

    @classmethod
    def from_arguments(cls, args: Namespace) -> 'PredictionRun':
        """Load the model and list the images that the arguments of ``tools/infer.py`` name.

        Raises ``ImportError``, ``OSError``, ``RunError`` or ``ValueError`` if an argument is wrong.
        """
        values = {field.name: getattr(args, field.name) for field in fields(PredictionOptions)}
        with suppress(ValueError):  # 'tuned'; other words are refused with the model
            values['thr'] = float(args.thr)
        options = PredictionOptions(**values)
        if options.attention and args.backend == 'onnx':
            raise ValueError('--attention needs torch, not --backend onnx')
        if args.no_config and args.cfg_options:
            raise ValueError('--cfg-options changes a CONFIG, but with --no-config there is none')
        *inputs, checkpoint = args.inputs
        if len(inputs) < 2 - args.no_config:
            needed = 'INPUT CHECKPOINT' if args.no_config else 'INPUT CONFIG CHECKPOINT'
            raise ValueError(f'the following arguments are required: {needed}')
        config = None if args.no_config else read_config(inputs.pop())
        paths = expand_inputs(inputs)
        model = (checkpoint, join_ranks(args.device), args.batch_size, args.backend)
        if config is None:
            return cls(MultiLabelInferencer.from_checkpoint(*model), paths, options, inputs)
        merge_options(config, args.cfg_options)
        return cls(MultiLabelInferencer(config, *model), paths, options, inputs)

    def results(self) -> Iterator[dict]:
        """Yield each prediction once it is written, or ``path`` and ``reason`` of a failure."""
        has_bar = is_main_process() and len(self.todo) > self.inferencer.batch_size
        with progress_bar(disable=not has_bar) as bar:
            yield from bar.track(self._results(), len(self.todo), description='predicting')

    def _results(self) -> Iterator[dict]:
        failures = []
        predictions = self.inferencer.stream_expanded(
            self.todo,
            self.options.thr,
            self.options.topk,
            self.options.attention,
            self.inferencer.batch_size,
            on_unreadable=lambda path, reason: failures.append(dict(path=path, reason=reason)),
        )
        while True:
            _, prediction, _ = next(predictions, (None, None, None))
            self.num_failed += len(failures)
            for failure in failures:
                if self._folder:
                    self._folder.add_failure(failure)
                yield failure
            failures.clear()
            if prediction is None:
                return
            if self._folder:
                self._draw(prediction)  # first: what is added is never predicted again
                record = {key: prediction[key] for key in ('path', 'labels', 'scores')}
                record['thresholds'] = [self._thresholds[label] for label in record['labels']]
                self._folder.add(dict(record, model=self._model))
            yield prediction

    def line(self, result: dict) -> str:
        """Return a result as a line for the terminal; columns are aligned over all images."""
        if 'reason' in result:
            return f'cannot read image {printable(result["path"])}: {printable(result["reason"])}'
        return table_row(result, *self._widths)

    def finish(self) -> list[Path]:
        """Merge the results of all ranks, and draw the contact sheet.

        Returns the complete files, on the main process and if there is an output folder.
        """
        num_failed = self._folder and self._folder.finish()
        if num_failed is None:
            return []
        self.num_failed = num_failed
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
        drawings = tuple(os.path.join(out, name, '') for name in DRAWINGS)
        sheet = os.path.join(out, 'contact_sheet.png')
        absolute = ((path, os.path.abspath(path)) for path in paths)
        return [path for path, full in absolute if full != sheet and not full.startswith(drawings)]

    def _settings(self) -> dict:
        config = self.inferencer.config
        parts = dict(
            model=config.model,
            data_preprocessor=config.get('data_preprocessor'),
            pipeline=config.test_dataloader.dataset.pipeline,
        )
        text = json.dumps(Config(parts).to_dict(), sort_keys=True, default=str)
        return dict(
            model=self._model,
            model_and_pipeline_sha256=hashlib.sha256(text.encode()).hexdigest()[:8],
            thr=self.options.thr,
            topk=self.options.topk,
            thresholds=self._thresholds,
        )

    def _drawing(self, kind: str, path: str) -> Path:
        return self._out / kind / with_suffix(self._names[path], DRAWINGS[kind])

    def _is_drawn(self, prediction: dict) -> bool:
        kinds = [kind for kind in self._drawn if kind == 'images' or prediction['labels']]
        return all(self._drawing(kind, prediction['path']).is_file() for kind in kinds)

    def _draw(self, prediction: dict) -> None:
        path = prediction['path']
        if self.options.images:
            image = self.inferencer.pipeline.for_drawing(path)
            labelled_image(image, prediction, self._drawing('images', path))
        if self.options.attention and prediction['labels']:
            out = self._drawing('attention', path)
            attention_figure(prediction, out, per_head=self.options.per_head)


_OUTSIDE = '_'  # folder of the drawings of images that no other name is left for


def drawing_names(paths: Iterable[str], given: Sequence[str] = ()) -> dict[str, Path]:
    """Return what the drawing of each image is called, relative to the folder of the drawings.

    It is the path of the image relative to the current folder. Of an image outside it begins with
    the folder that was ``given``, or that a file, list file or glob lies in: ``photos/a/1.jpg`` of
    ``/data/photos``. Where two images would have one name, it is the absolute path, behind ``_``.
    """
    roots = sorted({_folder_of(path) for path in given}, key=len, reverse=True)
    real = {path: os.path.abspath(path) for path in paths}
    short = {full: _short_name(full, roots) for full in set(real.values())}
    number = Counter(short.values())
    return {
        path: short[full] if number[short[full]] == 1 else _long_name(full)
        for path, full in real.items()
    }


def _folder_of(path: str) -> str:
    path = os.path.abspath(os.path.expanduser(path))
    while glob.has_magic(path) and not os.path.exists(path):
        path = os.path.dirname(path)
    return path if os.path.isdir(path) else os.path.dirname(path)


def _short_name(path: str, roots: Sequence[str]) -> Path:
    relative = Path(os.path.relpath(path))
    if relative.parts[:1] not in ((os.pardir,), (_OUTSIDE,)) and not relative.is_absolute():
        return relative
    inside = (root for root in roots if path.startswith(os.path.join(root, '')))
    root = next(inside, None)
    return _long_name(path) if root is None else Path(os.path.relpath(path, os.path.dirname(root)))


def _long_name(path: str) -> Path:
    return Path(_OUTSIDE, os.path.splitdrive(path)[1].lstrip(os.sep))


def with_suffix(name: Path, suffix: str) -> Path:
    """Add a suffix such as ``'.png'``, unless the name ends in it."""
    return name if name.name.endswith(suffix) else Path(f'{name}{suffix}')


def check_names_differ(names: dict[str, Path], suffix: str) -> None:
    """Raise a ``ValueError`` if the drawings of two different files would have one name."""
    owners: dict[Path, str] = {}
    for path, name in names.items():
        other = owners.setdefault(with_suffix(name, suffix), path)
        if os.path.abspath(other) != os.path.abspath(path):
            raise ValueError(
                f'the drawings of {other} and {path} would have the same name: predict them into '
                'different folders'
            )


def _width(texts: Iterable[str]) -> int:
    return max((cell_len(printable(text)) for text in texts), default=0)


def table_row(prediction: dict, path_width: int, label_width: int) -> str:
    """Return path, labels and scores in aligned columns, ``-`` if there is no label."""
    cells = [
        f'{set_cell_size(printable(label), label_width)} {score:.3f}'
        for label, score in zip(prediction['labels'], prediction['scores'], strict=True)
    ]
    path = set_cell_size(printable(prediction['path']), path_width)
    return f'{path}  {"  ".join(cells) or "-"}'
