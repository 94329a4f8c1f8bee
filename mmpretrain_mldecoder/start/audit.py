"""Audit of the labels of a run, and label files with what was decided about them."""

import argparse
import csv
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..analysis.audit.features import kept_features
from ..analysis.audit.out_of_sample import LEAST, out_of_sample_scores
from ..analysis.audit.page import class_rows, write_audit_page
from ..analysis.audit.suspicions import Suspicion, check_cleanlab, find_suspicions
from ..datasets.label_files import Answers, LabelTable, make_folds, read_labels, write_corrected
from ..engine.checks.config_error import read_config
from ..fileio.atomic_write import atomic_write
from ..fileio.terminal import counted, listed, printable
from .questions import read_answers, with_questions
from .stages import RunFolder

FOLDS = 5


def audit(run: RunFolder, most: int) -> None:
    """Find labels that may be wrong; print their numbers, write a list, and a page to decide.

    The labels are read again, as the run read them. The page shows the first ``most`` of the list.
    Raises what :func:`.read_labels` does, and ``RunError`` if cleanlab is not installed, or images
    cannot be read.
    """
    check_cleanlab()
    table, data, _ = _labels(run)
    cfg, images = read_config(run.config), [str(data / image) for image in table.images]
    if cfg.train_dataloader.dataset.pipeline[-1].get('difficult') == 'negative':
        table.targets[table.targets == -1] = 0  # as its training counts them
    features, unreadable = kept_features(cfg, images, run.path / 'audit/features')
    table.targets[[*unreadable]] = -1
    folds = make_folds(table, data, FOLDS, run.settings['seed'])
    scores = out_of_sample_scores(features, table.targets, folds)
    suspicions = find_suspicions(scores, table.targets)
    rows = class_rows(table, scores, suspicions)
    facts = [
        ('Images', f'{len(table.images):,}'),
        ('Labels', f'{sum(row["labels"] for row in rows):,}'),
        ('Suspicions', f'{len(suspicions):,}'),
        ('Scores', 'linear classifiers on features of the backbone before its training; each '
         f'trained on {FOLDS - 1} of {FOLDS} folds, for the images of the other one'),
    ]  # fmt: skip
    notes = [*_notes(len(unreadable), rows, len(suspicions), most)]
    page, found = run.path / 'audit/index.html', run.path / 'audit/suspicions.csv'
    _write_list(found, table, suspicions)
    write_audit_page(page, run.path, data, table, rows, suspicions[:most], facts, notes)
    console = Console(highlight=False, width=110)
    console.print(_as_table(rows))
    for note in notes:
        console.print(f'- {printable(note)}', markup=False, soft_wrap=True)
    print(f'\nlook and decide   {page}\nall suspicions    {found}')
    print(f'then              mldecoder audit {shlex.quote(str(run.path))} --apply decisions.json')


def _notes(unreadable: int, rows: list[dict], suspicions: int, most: int) -> Iterator[str]:
    """Yield what was not judged, and what is not shown."""
    if unreadable:
        yield f'cannot be read, and not judged: {counted(unreadable, "image")}'
    if few := [row['name'] for row in rows if not row['judged']]:
        yield (
            f'not judged, for want of {LEAST} images that show it and {LEAST} that do not: '
            f'{counted(len(few), "class")}: {listed(few, 10)}'
        )
    if suspicions > most:
        yield (
            f'the first {most:,} of {suspicions:,} suspicions are on the page; correct these, and '
            'audit again'
        )


def _write_list(out: Path, table: LabelTable, suspicions: Sequence[Suspicion]) -> None:
    with atomic_write(out) as path, path.open('w', encoding='utf-8', newline='') as file:
        writer = csv.writer(file)
        writer.writerow(['image', 'class', 'suspicion', 'score'])
        for each in suspicions:
            names = table.images[each.image], table.classes[each.label]
            writer.writerow([*names, each.kind, f'{each.score:.4f}'])


def _labels(run: RunFolder) -> tuple[LabelTable, Path, Answers]:
    data = Path(run.settings['data'])
    answers = read_answers(argparse.Namespace(**(run.answers or run.settings)))
    table, answers = with_questions(lambda given: read_labels(data, given), answers)
    return table, data, answers


def _as_table(rows: list[dict]) -> Table:
    table = Table(title='suspected labels', title_justify='left')
    table.add_column('class')
    for name in ('labels', 'missing?', 'spurious?'):
        table.add_column(name, justify='right')
    suspected = [row for row in rows if row['missing'] or row['spurious']]
    for row in sorted(suspected, key=lambda row: -row['missing'] - row['spurious']):
        numbers = (row[name] for name in ('labels', 'missing', 'spurious'))
        table.add_row(Text(printable(row['name'])), *(f'{number:,}' for number in numbers))
    table.add_section()
    totals = (sum(row[name] for row in rows) for name in ('labels', 'missing', 'spurious'))
    table.add_row(f'all {len(rows)} classes', *(f'{total:,}' for total in totals))
    return table


class _Decision(msgspec.Struct):
    image: str
    name: str = msgspec.field(name='class')
    suspicion: Literal['missing', 'spurious']
    accepted: bool


class _Decisions(msgspec.Struct):
    decisions: list[_Decision]


def apply_decisions(run: RunFolder, file: Path) -> None:
    """Write label files of a run with the labels changed whose decision is to accept.

    Raises ``ValueError`` if the decisions cannot be read, or are about other labels.
    """
    try:
        decisions = msgspec.json.decode(file.read_bytes(), type=_Decisions).decisions
    except msgspec.DecodeError as error:
        raise ValueError(f'{file} is not what the page of the audit downloads: {error}') from error
    table, data, answers = _labels(run)
    row_of = {image: row for row, image in enumerate(table.images)}
    column_of = {name: column for column, name in enumerate(table.classes)}
    corrections: dict[str, dict[str, int]] = {}
    counts: Counter[str] = Counter()
    for each in decisions:
        if each.image not in row_of or each.name not in column_of:
            raise ValueError(
                f'{file} decides about {printable(each.name)} of {printable(each.image)}, which '
                f'the labels of {data} do not have: it is of another run'
            )
        wanted = int(each.suspicion == 'missing')
        if not each.accepted:
            counts['rejected'] += 1
        elif table.targets[row_of[each.image], column_of[each.name]] == wanted:
            counts['so already'] += 1
        else:
            counts['added' if wanted else 'removed'] += 1
            corrections.setdefault(each.image, {})[each.name] = wanted
    print(', '.join(f'{count:,} {what}' for what, count in counts.items()) or 'no decisions')
    if not corrections:
        return
    folder = run.path / 'audit/corrected'
    written, why = write_corrected(data, answers, table, corrections, folder)
    print(*(f'corrected         {path}' for path in written), sep='\n')
    if why:
        start = ['mldecoder', 'start', str(data), '--labels', str(written[0])]
        start += ['--minus-one', 'unknown'] if (table.targets == -1).any() else []
        print(f'{why}\nthen              {shlex.join([*start, "--out", f"{run.path}_corrected"])}')
    else:
        print(
            f'Compare them with those in {data}, put them in their place, and start a new run, '
            'with another --out.'
        )
