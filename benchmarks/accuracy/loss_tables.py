"""The tables of the losses, see :mod:`.tables`."""

from collections.abc import Callable
from itertools import product
from pathlib import Path

from benchmarks.accuracy import losses
from benchmarks.accuracy.heads import short_name
from benchmarks.accuracy.records import Study, interval, mean_of


def partial_table(dataset: str, out: Path) -> list[list[str]]:
    """Losses for labels of which some are hidden."""
    study = Study('losses', out)
    hidden = ['nothing hidden', 'half hidden', '90 % hidden', 'all but one positive hidden']
    rows = [['unknown labels', *hidden]]
    for head, methods in dict(linear=losses.PARTIAL, mldecoder=losses.OF_ML_DECODER).items():
        for method in methods:
            cells = []
            for hiding in ('none', *losses.HIDINGS):
                # With all labels known, those that ignore unknown ones are the plain losses.
                name = method.removeprefix('ignore-') if hiding == 'none' else method
                run = losses.run_name(name, hiding, head)
                records = study.find(dict(dataset=dataset, run=run))
                cells.append(mean_of(records))
            if set(cells[1:]) != {'-'}:
                head_name = 'ML-Decoder: ' if head == 'mldecoder' else ''
                rows.append([head_name + losses.LOSS_NAMES[method], *cells])
    return rows


def balanced_table(dataset: str, out: Path) -> list[list[str]]:
    """Losses and a sampler for rare classes."""
    study, differences = Study('losses', out), Study('losses_differences', out)
    rows = [['loss', 'rare', 'medium', 'frequent', 'mAP', 'minus BCE, rare', 'minus BCE, mAP']]
    for method in losses.BALANCED:
        key = dict(dataset=dataset, run=losses.run_name(method))
        if records := study.find(key):
            cells = [mean_of(records, f'mAP_{name}') for name in losses.BINS] + [mean_of(records)]
            for classes in ('rare', 'all'):
                found = differences.find(key | dict(classes=classes))
                cells.append(interval(found[-1]) if found else '-')
            rows.append([losses.LOSS_NAMES[method], *cells])
    return rows


def margin_table(dataset: str, out: Path) -> list[list[str]]:
    """Heads, with and without the margin of the asymmetric loss."""
    study = Study('losses', out)
    rows = [['head', 'loss', 'seeds', 'mAP', 'AP of the most frequent class, by seed']]
    trained = [('asl', 'none'), *((method, 'none') for method in losses.NO_MARGIN)]
    trained += [(losses.SLOW, 'none'), ('asl', losses.FEWER)]
    for head, (method, labels) in product(losses.HEADS_OF_LOSSES, trained):
        found = study.find(dict(dataset=dataset, run=losses.run_name(method, labels, head)))
        if records := [each for each in found if 'AP_most_frequent' in each]:
            aps = ', '.join(f'{each["AP_most_frequent"]:.1f}' for each in records)
            loss = losses.LOSS_NAMES[method]
            if labels == losses.FEWER:
                loss += f', in {100 * losses.SHARE:.0f} % of the photos'
            rows.append([short_name(head), loss, str(len(records)), mean_of(records), aps])
    return rows


def turned_table(dataset: str, out: Path) -> list[list[str]]:
    """Losses where almost all photos have a class."""
    find = Study('losses', out).find
    rows = [['head', 'seeds', *(losses.LOSS_NAMES[method] for method in losses.OF_TURNED)]]
    for head in losses.HEADS_OF_LOSSES:
        runs = [losses.run_name(method, losses.TURNED, head) for method in losses.OF_TURNED]
        found = [find(dict(dataset=dataset, run=run)) for run in runs]
        if any(found):
            rows.append([short_name(head), str(len(found[0])), *map(mean_of, found)])
    return rows


LOSS_TABLES: dict[str, Callable[[str, Path], list[list[str]]]] = dict(
    partial=partial_table, balanced=balanced_table, margin=margin_table, turned=turned_table
)
