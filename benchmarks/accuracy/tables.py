"""The tables of pages in ``docs`` and of the READMEs: ``python -m benchmarks.accuracy.tables``.

Prints what is stored in ``--out``. With ``--record`` the results are copied into the repository,
and the pages are made of them: each table stands between ``<!-- accuracy: begin NAME DATASET -->``
and ``<!-- accuracy: end -->``; ``NAME all`` is that of all data sets. The difference of two heads
is computed once both have scores.
"""

import argparse
import shutil
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np

from benchmarks.accuracy.fine_tuning import (
    FEW_PHOTOS,
    MAIN_SETTINGS,
    Run,
    ablation_runs,
    few_photo_run,
    main_run,
)
from benchmarks.accuracy.fine_tuning import HEADS as FINE_TUNED
from benchmarks.accuracy.frozen_features import BACKBONES, Network
from benchmarks.accuracy.heads import HEADS, NAMES, short_name
from benchmarks.accuracy.loss_tables import LOSS_TABLES
from benchmarks.accuracy.photos import DATASETS, REPOSITORY
from benchmarks.accuracy.records import (
    OUT,
    RECORDED,
    Study,
    mean_and_sd,
    mean_difference,
    mean_of,
    store_differences,
)
from benchmarks.accuracy.small_data import NETWORK as OF_START
from benchmarks.accuracy.small_data_heads import SIZES, STOPPING_HEADS, STOPPING_SIZES
from mmpretrain_mldecoder.analysis.model_table import update_page

_PAGES = (
    'results',
    'attention',
    'partial_labels',
    'imbalance',
    'audit',
    'thresholds',
    'fine_tuning',
)
PAGES = [
    *(REPOSITORY / 'docs' / f'{name}.md' for name in _PAGES),
    *(REPOSITORY / name for name in ('README.md', 'README_zh-CN.md')),
]
DATASET_NAMES = dict(voc2007='VOC 2007', coco18='COCO-18', corel5k='Corel-5k')
NETWORKS = [*map(Network._make, product(BACKBONES, (160, 224, 240, 260, 288, 320, 384)))]


def _minutes(records: list[dict]) -> str:
    """Return the mean time of the trainings that were not interrupted."""
    seconds = [each['seconds'] for each in records if each['seconds'] is not None]
    return f'{np.mean(seconds) / 60:.0f}' if seconds else '-'


def frozen_table(dataset: str, out: Path) -> list[list[str]]:
    """Heads on frozen features."""
    study, costs = Study('frozen_features', out), Study('head_costs', out)
    title = 'head, parameters (M), GFLOPs, training step (ms), learning rate, epochs, seeds, mAP'
    rows = [[*title.split(', '), 'minus GAP + linear']]
    for head in HEADS:
        records = study.find(dict(dataset=dataset, run=head))
        if not records:
            continue
        key = dict(dataset=dataset, run=head)
        cells = ['-', '-', '-']
        for cost in costs.find(key):
            cells = [f'{cost["parameters"]:.3f}', f'{cost["gflops"]:.3f}']
            cells.append(f'{1000 * cost["step_seconds"]:.0f}')
        cells += [f'{records[0]["lr"]:g}', str(records[0]['epochs']), str(len(records))]
        minus = mean_difference('frozen_features', out, key)
        rows.append([NAMES[head], *cells, mean_of(records), minus])
    return rows


def networks_table(dataset: str, out: Path) -> list[list[str]]:
    """Heads on frozen features of several backbones and sizes, where more than one was measured."""
    study, heads = Study('frozen_features', out), ('linear', 'csra', 'mldecoder')
    rows = [['backbone', 'pixels', *(NAMES[head] for head in heads), 'ML-Decoder minus linear']]
    for network in NETWORKS:
        cells = []
        for head in heads:
            records = study.find(dict(dataset=dataset, run=network.of(head)))
            cells.append(mean_of(records))
        if set(cells) != {'-'}:
            minus = mean_difference(
                'frozen_features', out, dict(dataset=dataset, run=network.of('mldecoder'))
            )
            rows.append([BACKBONES[network.backbone], str(network.side), *cells, minus])
    return rows if len(rows) > 2 else rows[:1]


def fine_tuned_table(dataset: str, out: Path) -> list[list[str]]:
    """Whole networks."""
    study = Study('fine_tuning', out)
    title = 'pixels, head, learning rate, seeds, minutes, mAP, mAP of the raw weights'
    rows = [[*title.split(', '), 'minus GAP + linear']]
    for setting, head in product(range(len(MAIN_SETTINGS[dataset])), FINE_TUNED):
        run = main_run(dataset, head, setting=setting)
        name = run.name
        records = study.find(dict(dataset=dataset, run=name))
        if records:
            label = short_name(head) + (', `clip=0`' if run.loss == 'asl-no-margin' else '')
            cells = [str(run.size), label, f'{records[0]["lr"]:g}', str(len(records))]
            cells.append(_minutes(records))
            minus = mean_difference('fine_tuning', out, dict(dataset=dataset, run=name))
            rows.append([*cells, mean_of(records), mean_of(records, 'mAP_raw'), minus])
    return rows


def ablation_table(dataset: str, out: Path) -> list[list[str]]:
    """One setting changed, seed 0."""
    study = Study('fine_tuning', out)
    rows = [['changed', 'GAP + linear', 'ML-Decoder']]
    for label, changes in ablation_runs().items():
        cells = []
        for head in ('linear', 'mldecoder'):
            name = Run(dataset, head, **changes).name
            records = study.find(dict(dataset=dataset, run=name, seed=0))
            cells.append(mean_of(records))
        if set(cells) != {'-'}:
            rows.append([label, *cells])
    return rows


def peer_table(dataset: str, out: Path) -> list[list[str]]:
    """The same training by timm's parts."""
    rows = [['training', 'seeds', 'mAP']]
    name = Run(dataset, 'linear', size=160).name
    for label, study, settings in (
        ('this repository, GAP + linear', 'fine_tuning', dict(run=name)),
        ("timm's parts", 'timm_training', dict(run=f'timm-{name}')),
    ):
        records = Study(study, out).find(dict(dataset=dataset, **settings))
        if records:
            rows.append([label, str(len(records)), mean_of(records)])
    return rows


def attention_table(dataset: str, out: Path) -> list[list[str]]:
    """Strongest cells in boxes."""
    rows = [['head', 'map', 'labels', 'strongest cell in a box (%)', 'by chance (%)']]
    for each in Study('attention_in_boxes', out).find(dict(dataset=dataset)):
        kind = 'attention' if each['head'] == 'mldecoder' else 'CAM'
        numbers = [f'{each["in_box"]:.1f}', f'{each["chance"]:.1f}']
        rows.append([NAMES[each['head']], kind, f'{each["labels"]:,}', *numbers])
    return rows


def threshold_table(dataset: str, out: Path) -> list[list[str]]:
    """Gains of fitted thresholds, means over the seeds."""
    rows = [['head', 'seeds', 'metric', 'at 0.5', 'gain promised', 'gain found']]
    study = Study('threshold_gains', out)
    for head, metric in product(FINE_TUNED, ('CF1', 'OF1')):
        records = study.find(dict(dataset=dataset, run=main_run(dataset, head).name))
        if not records:
            continue
        numbers = [
            ' ± '.join(
                f'{np.mean([each[name] for each in records]):.1f}'
                for name in (f'{metric}_{what}', f'{metric}_{what}_sd')
            )
            for what in ('at_0.5', 'promised', 'found')
        ]
        rows.append([NAMES[head], str(len(records)), metric, *numbers])
    return rows


def few_images_table(dataset: str, out: Path) -> list[list[str]]:
    """Thresholds fitted to few images: OF1 and macro F1."""
    ways = {'at_0.5': 'at 0.5', 'own': "each class's own best F1", 'tuned': 'as fitted here'}
    names = [f'{metric}, {way}' for metric in ('OF1', 'macro F1') for way in ways.values()]
    rows = [['images fitted to', *names]]
    for each in Study('threshold_few_images', out).find(dict(dataset=dataset)):
        numbers = [each[f'{metric}_{way}'] for metric in ('OF1', 'macro_F1') for way in ways]
        rows.append([f'{each["images"]:,}', *(f'{number:.1f}' for number in numbers)])
    return rows


def small_data_table(dataset: str, out: Path) -> list[list[str]]:
    """`mldecoder start` on few photos."""
    title = 'photos, learned from, config, seed, minutes, mAP, logistic regression, of all photos'
    peer = Study('fastai_peer', out)
    columns = dict(mAP='.2f', learned_from=',', cpu_minutes='.1f') if peer.records else {}
    rows = [[*title.split(', '), *(f'fastai: {name.replace("_", " ")}' for name in columns)]]
    records = Study('small_data', out).find(dict(dataset=dataset))
    for each in sorted(records, key=lambda record: record['photos']):
        photos, known = f'{each["photos"]:,}', f'{each["learned_from"]:,}'
        numbers = [f'{each[name]:.2f}' for name in ('mAP', 'regression', 'regression_of_all')]
        minutes = f'{each["minutes"]:.1f}'
        found = peer.find({name: each[name] for name in ('dataset', 'photos', 'seed')})
        numbers += [format(found[0][name], how) if found else '-' for name, how in columns.items()]
        rows.append([photos, known, each['row'], str(each['seed']), minutes, *numbers])
    return rows


def _by_photos(dataset: str, records_of: Callable[[str, int], list[dict]]) -> list[list[str]]:
    """Return what heads reach by the number of photos that they learned from."""
    rows = [['photos', 'a class', 'seeds', *map(short_name, FINE_TUNED)]]
    for count in sorted({*SIZES, *FEW_PHOTOS}):
        of_heads = [records_of(head, count) for head in FINE_TUNED]
        if all(of_heads):
            per_class = f'{count / DATASETS[dataset]:.2g}'
            rows.append([f'{count:,}', per_class, str(len(of_heads[0])), *map(mean_of, of_heads)])
    return rows


def small_data_heads_table(dataset: str, out: Path) -> list[list[str]]:
    """Heads on the features of `mldecoder start` by the number of photos."""
    find, key = Study('small_data_heads', out).find, dict(dataset=dataset)
    return _by_photos(dataset, lambda head, photos: find(key | dict(head=head, photos=photos)))


def few_photos_table(dataset: str, out: Path) -> list[list[str]]:
    """Whole networks by the number of photos."""
    find, key = Study('fine_tuning', out).find, dict(dataset=dataset)
    return _by_photos(
        dataset, lambda head, photos: find(key | dict(run=few_photo_run(head, photos).name))
    )


def small_data_stopping_table(dataset: str, out: Path) -> list[list[str]]:
    """A last training as long as the best epoch says, and one of all epochs."""
    study = Study('small_data_stopping', out)
    rows = [['photos', 'head', 'seeds', 'best epoch', 'mAP of as many', 'epochs', 'mAP of all']]
    for count, head in product(STOPPING_SIZES, STOPPING_HEADS):
        if records := study.find(dict(dataset=dataset, photos=count, head=head)):
            rows.append([str(count), NAMES[head], str(len(records))])
            for what in ('best_epoch', 'epochs'):
                epochs = [each[what] for each in records]
                span = f'{min(epochs)} to {max(epochs)}' if len({*epochs}) > 1 else str(epochs[0])
                rows[-1] += [span, mean_of(records, f'mAP_of_{what}')]
    return rows


def label_errors_table(dataset: str, out: Path) -> list[list[str]]:
    """What an audit finds of labels that were flipped."""
    kinds = ('missing', 'spurious')
    columns = ('flipped', 'suspected', 'precision', 'recall')
    rows = [['flips', *(f'{kind}: {column}' for kind in kinds for column in columns)]]
    rows[0].append('precision of the first 200')
    study = Study('label_errors', out)
    for run in ('labels', 'cells', 'none'):
        if records := study.find(dict(dataset=dataset, run=run)):
            rows.append([run])
            for kind in kinds:
                flipped, suspected, right = (
                    np.array([each[f'{kind}_{what}'] for each in records])
                    for what in ('flipped', 'suspected', 'right')
                )
                rows[-1] += [f'{flipped.mean():,.0f}', f'{suspected.mean():,.0f}']
                shares = [100 * right / suspected, 100 * right / flipped] if all(flipped) else []
                rows[-1] += [mean_and_sd([*share]) for share in shares] or ['-', '-']
            first = [each['right_of_first_200'] / 2 for each in records]
            rows[-1].append(mean_and_sd(first) if any(first) else '-')
    return rows


_HOW = dict(
    en=('frozen Lite0', 'frozen Lite2, 320 px', 'fine-tuned Lite0'),
    zh=('冻结 Lite0', '冻结 Lite2，320 像素', '微调 Lite0'),
)
SUMMARY = dict(
    en=['head', *(f'{name}, {how}' for name in ('VOC 2007', 'COCO-18') for how in _HOW['en'])],
    zh=['分类头', *(f'{name}，{how}' for name in ('VOC 2007', 'COCO-18') for how in _HOW['zh'])],
)


def summary_table(language: str, out: Path) -> list[list[str]]:
    """The main numbers, for the READMEs."""
    rows = [SUMMARY[language]]
    for head in FINE_TUNED:
        cells = []
        for dataset in ('voc2007', 'coco18'):
            for study, name in (
                ('frozen_features', head),
                ('frozen_features', OF_START.of(head)),
                ('fine_tuning', main_run(dataset, head).name),
            ):
                records = Study(study, out).find(dict(dataset=dataset, run=name))
                cells.append(mean_of(records))
        rows.append([short_name(head), *cells])
    return rows


TABLES: dict[str, Callable[[str, Path], list[list[str]]]] = dict(
    frozen=frozen_table,
    networks=networks_table,
    fine_tuned=fine_tuned_table,
    ablations=ablation_table,
    peer=peer_table,
    attention=attention_table,
    thresholds=threshold_table,
    few_images=few_images_table,
    small_data=small_data_table,
    small_data_heads=small_data_heads_table,
    few_photos=few_photos_table,
    small_data_stopping=small_data_stopping_table,
    **LOSS_TABLES,
    label_errors=label_errors_table,
    summary=summary_table,
)


def markdown(name: str, dataset: str, out: Path) -> str:
    """Return one of ``TABLES``."""
    if dataset == 'all':
        tables = {title: TABLES[name](each, out) for each, title in DATASET_NAMES.items()}
        rows = [['data set', *tables['VOC 2007'][0]]]
        rows += [[title, *row] for title, table in tables.items() for row in table[1:]]
    else:
        rows = TABLES[name](dataset, out)
    lines = [f'| {" | ".join(row)} |' for row in rows]
    lines.insert(1, '| --- ' * len(rows[0]) + '|')
    return '\n'.join(lines) + '\n'


def main() -> None:
    """Store what differences can be computed, and print or record the tables."""
    parser = argparse.ArgumentParser(description='Print the tables of all accuracies.')
    parser.add_argument('--out', type=Path, default=OUT, help='where the results are')
    parser.add_argument('--record', action='store_true', help='copy them to the repository')
    args = parser.parse_args()
    for dataset in DATASETS:
        networks = [[network.of(head) for head in HEADS] for network in NETWORKS]
        fine_tuned = [
            [main_run(dataset, head, setting=setting).name for head in FINE_TUNED]
            for setting in range(len(MAIN_SETTINGS[dataset]))
        ]
        for study, runs in (
            *(('frozen_features', runs) for runs in networks),
            *(('fine_tuning', runs) for runs in fine_tuned),
        ):
            linear = dict(dataset=dataset, run=runs[0])
            others = [dict(dataset=dataset, run=name) for name in runs[1:]]
            store_differences(study, args.out, [(each, linear) for each in others])
        for name in list(TABLES)[:-1]:  # all but the summary
            if (table := markdown(name, dataset, args.out)).count('\n') > 2:
                print(f'\n{name}, {dataset}\n\n{table}')
    if args.record:
        shutil.copytree(args.out / 'results', RECORDED / 'results', dirs_exist_ok=True)
        for page in PAGES:
            update_page(page, 'accuracy', partial(markdown, out=RECORDED))


if __name__ == '__main__':
    main()
