"""The stages of a run, each a command of ``mldecoder``; what is finished is not repeated."""

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import msgspec
from mmengine.config import Config
from mmpretrain.registry import MODELS

from ..analysis.browse.findings import read_unreadable
from ..apis.thresholds import read_trained, store_thresholds
from ..checkpoints.resume import best_checkpoint, find_resume_checkpoint
from ..datasets.label_files import Answers, read_labels, read_split_counts
from ..errors import RunError
from ..fileio.atomic_write import write_file
from ..models.attention import attention_kind
from .labels import describe, leave_out, prepare_labels
from .questions import read_answers
from .run_config import (
    ABSENT,
    FEATURES,
    FEW_IMAGES,
    LABELS,
    choose,
    choose_by_labels,
    config_text,
    label_reasons,
    refit_text,
)

STATE = 'start.json'
# What is shown of a log: epochs, and what LivePageHook says.
_RESULT = re.compile(r' - INFO - ((?:Epoch|Validation after|Live page).*)')
_CONSOLE = [sys.executable, '-u', '-m', 'mmpretrain_mldecoder.console']


class _State(msgspec.Struct):
    settings: dict
    finished: list[str]
    answers: dict | None = None
    described: str | None = None


def _read_state(path: Path) -> _State:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_State)
    except msgspec.DecodeError as error:
        raise ValueError(f'{path} is damaged ({error}): name another --out') from error


class RunFolder:
    """A folder of a run: its files, and which stages are finished.

    Args:
        path (Path): Created if it does not exist.
        settings (dict): What the run was started with: plain values.

    Raises:
        ValueError: If the folder was started with other settings, or holds something else, or what
            it has stored is damaged.
    """

    def __init__(self, path: Path, settings: dict):
        self.path = path
        self.finished: list[str] = []
        self.answers: dict | None = None  # about the labels; those of a terminal, too
        self.described: str | None = None  # the labels that it was started with
        state = path / STATE
        if state.is_file():
            stored = _read_state(state)
            self.finished = stored.finished
            self.answers = stored.answers
            self.described = stored.described
            differ = [key for key in settings if settings[key] != stored.settings.get(key)]
            if differ:
                raise ValueError(
                    f'{path} was started with {differ[0]} = {stored.settings.get(differ[0])!r}, '
                    f'now it is {settings[differ[0]]!r}: start it as before, or name another --out'
                )
        elif path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise ValueError(f'{path} holds something else: name another folder with --out')
        elif path.resolve().is_relative_to(settings['data']):
            raise ValueError(
                f'{path} is in {settings["data"]}, where its figures and labels would be taken '
                'for data: name a folder elsewhere with --out'
            )
        self.settings = settings
        path.mkdir(parents=True, exist_ok=True)

    @classmethod
    def open(cls, path: Path) -> 'RunFolder':
        """Return the folder of a run that was started, or raise ``FileNotFoundError``."""
        state = path / STATE
        if not state.is_file():
            raise FileNotFoundError(f'{path} is no run of mldecoder start: it has no {STATE}')
        return cls(path, _read_state(state).settings)

    @property
    def config(self) -> Path:
        """The config."""
        return self.path / 'config.py'

    @property
    def labels(self) -> Path:
        """Folder of the labels, as COCO JSON."""
        return self.path / LABELS

    @property
    def features(self) -> Path:
        """Folder of what a frozen backbone gives, as long as it is needed."""
        return self.path / FEATURES

    @property
    def log(self) -> Path:
        """What training and tests print, in full."""
        return self.path / 'log.txt'

    @property
    def best_checkpoint(self) -> Path | None:
        """The checkpoint with the best mAP on val, where the config keeps one."""
        return best_checkpoint(self.path / 'train')

    @property
    def best_epoch(self) -> int | None:
        """The epoch of the best checkpoint, if there is one."""
        best = self.best_checkpoint
        return None if best is None else int(best.stem.rpartition('_')[2])

    @property
    def checkpoint(self) -> Path:
        """The best checkpoint, or the last one."""
        found = self.best_checkpoint or find_resume_checkpoint(self.path / 'train')
        if found is None:
            raise RunError(f'{self.path / "train"} has no checkpoint: see its log')
        return Path(found)

    @property
    def model(self) -> Path:
        """The checkpoint that is tested and exported, with its thresholds."""
        return self.path / 'model.pth'

    def once(self, stage: str, do: Callable[[], object]) -> None:
        """Do a stage, unless it is finished, and remember it."""
        if stage in self.finished:
            return
        do()
        self.finished.append(stage)
        self.store()

    def store(self) -> None:
        """Write what is finished."""
        names = ('settings', 'finished', 'answers', 'described')
        write_file(self.path / STATE, json.dumps({name: getattr(self, name) for name in names}))


def write_inputs(run: RunFolder, data: Path, answers: Answers) -> None:
    """Write labels and config, unless they are there; arguments as of :func:`prepare_labels`.

    Raises ``RunError`` if there would be no mAP on ``val``, ``ValueError`` if the labels are others
    by now.
    """
    settings = run.settings

    def write_labels() -> None:
        given, run.described = prepare_labels(data, answers, settings['seed'], run.labels)
        counts = read_split_counts(run.labels)
        unknown = choose_by_labels(counts, settings['unknown']).get('unknown_val')
        if not counts.with_ap('val', unknown is not None and unknown.value == ABSENT).any():
            raise RunError(
                f'val has {counts.images["val"]} images and no class that some of them show and '
                'others are known to lack: no mAP could tell which epoch is the best. Label images '
                'that lack a class, too'
                + ('' if unknown is None else f', or let unknown labels be --unknown {ABSENT}')
            )
        run.answers = asdict(given)
        if given.labels and not (data / given.labels).exists() and Path(given.labels).exists():
            run.answers['labels'] = os.path.abspath(given.labels)  # whatever folder is next

    if run.answers is not None:
        now = describe(read_labels(data, read_answers(argparse.Namespace(**run.answers))))
        if run.described not in (None, now):
            raise ValueError(
                f'{data} has {now}, but {run.path} was started with {run.described}: name another '
                '--out for these labels'
            )
    run.once('labels', write_labels)

    if not run.config.exists():
        counts = read_split_counts(run.labels)
        num_images, num_classes = counts.images['train'], len(counts.classes)
        asked_for = {name: settings[name] for name in ('row', 'epochs', 'batch_size')}
        choices = choose(num_images, num_classes, **asked_for)
        by_labels = choose_by_labels(counts, settings['unknown'])
        for reason in label_reasons(by_labels):
            print(f'- {reason}')
        write_file(run.config, config_text(choices, by_labels, num_classes, data, run.path))


def mldecoder(*arguments: object, allowed: Sequence[int] = (0,), log: Path | None = None) -> None:
    """Run a command of ``mldecoder`` in a process of its own; ``RunError`` unless it succeeds.

    The ``log`` is for commands with a runner: their output goes to the end of this file, and shown
    are epochs, validations, and what comes after the last record.
    """
    command = [str(argument) for argument in arguments]
    print(f'\n$ mldecoder {shlex.join(command)}', flush=True)
    last: list[str] = []
    if log is None:
        status = subprocess.run([*_CONSOLE, *command]).returncode
    else:
        status, last = _logged([*_CONSOLE, *command], log)
    if status not in allowed:
        lines = '\n'.join(['', *last[-15:]])
        raise RunError(f'mldecoder {command[0]} ended with status {status}, see above{lines}')


def _logged(command: list[str], log: Path) -> tuple[int, list[str]]:
    """Return the exit status and the last lines; all go to ``log``, some are shown."""
    rest: list[str] = []
    with (
        log.open('a', encoding='utf-8', buffering=1) as file,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors='replace'
        ) as process,
    ):
        for line in process.stdout or ():
            file.write(line)
            rest.append(line.rstrip('\n'))
            if ' - mmengine - ' in line:
                rest.clear()
                if result := _RESULT.search(line):
                    print(result[1], flush=True)
    if process.returncode == 0:
        print(*rest, sep='\n')
    return process.returncode, rest


def refit(run: RunFolder) -> None:
    """Train once more, on train and val, and keep the thresholds; where images are few.

    Epochs and thresholds are chosen by then, so val is free for the training.
    """
    train, val = (
        json.loads((run.labels / f'{split}.json').read_text(encoding='utf-8'))
        for split in ('train', 'val')
    )
    if len(train['images']) >= FEW_IMAGES:
        return
    train['images'] += val['images']
    first = len(train['annotations'])
    train['annotations'] += [dict(each, id=first + each['id']) for each in val['annotations']]
    labels = write_file(run.labels / 'train_and_val.json', json.dumps(train))
    folder = run.path / 'refit'
    config = write_file(run.path / 'refit.py', refit_text(labels, run.best_epoch))
    mldecoder(*('train', config, '--work-dir', folder, '--resume', '--no-validate'), log=run.log)
    checkpoint = find_resume_checkpoint(folder)
    assert checkpoint is not None  # a training that ends well has written one
    thresholds = read_trained(run.model)['meta']['thresholds']
    store_thresholds(checkpoint, thresholds, run.model)


def has_attention(config: Path) -> bool:
    """Whether the model of a config, which may have been changed, has maps for the report."""
    return attention_kind(MODELS.build(Config.fromfile(config).model)) is not None


def train_and_export(run: RunFolder) -> None:
    """Look at the data, train, fit thresholds, train on val, too, test, report and export."""
    config = run.config

    def browse() -> None:
        # Status 1 is that of findings, which are printed, not of an error.
        mldecoder('browse', config, '--out-dir', run.path / 'browse', allowed=(0, 1))
        unreadable = read_unreadable(run.path / 'browse/findings.json')
        leave_out(unreadable, Path(run.settings['data']), run.labels)

    run.once('browse', browse)
    run.once(
        'train',
        lambda: mldecoder(
            *('train', config, '--work-dir', run.path / 'train', '--resume'), log=run.log
        ),
    )
    run.once(
        'thresholds',
        lambda: mldecoder(
            *('thresholds', config, run.checkpoint, '--split', 'val', '--out', run.model),
            *('--work-dir', run.path / 'thresholds'),
            log=run.log,
        ),
    )
    run.once('refit', lambda: refit(run))
    predictions = run.path / 'predictions.pkl'
    run.once(
        'test',
        lambda: mldecoder(
            *('test', config, run.model, '--tuned-thresholds', '--out', predictions),
            *('--work-dir', run.path / 'test'),
            log=run.log,
        ),
    )
    shutil.rmtree(run.features, ignore_errors=True)
    run.once(
        'report',
        lambda: mldecoder(
            *('report', config, predictions, '--out', run.path / 'report'),
            *(('--checkpoint', run.model) if has_attention(config) else ()),
        ),
    )
    run.once('export', lambda: mldecoder('export', config, run.model, run.path / 'model.onnx'))
