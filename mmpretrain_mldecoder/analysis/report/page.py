"""Report of a test run: one HTML file that holds all it shows."""

import os
from dataclasses import replace
from pathlib import Path

from mmengine.config import Config

from ...apis.split_scores import map_evaluators
from ...engine.checks.config_error import read_config
from ...visualization.html_page import write_page
from .images import attention_overlays, error_card, image_roots, worst_errors
from .numbers import find_confusions, series_numbers
from .test_run import TestRun, check_same_images, read_class_names, read_test_run

_NO_RAW = (
    'The file has one score per class and image: of the EMA weights if the checkpoint has both, '
    'unless it was tested with --weights raw or --weights ema. To see EMA beside raw, test without '
    '--weights: tools/test.py CONFIG CHECKPOINT --out predictions.pkl'
)
_NO_AREAS = (
    'The labels do not say how large the objects are: that takes COCOMultiLabel, and an area or a '
    'bbox of each object in its file.'
)
_NO_SIZES = (
    'The samples do not say how large the objects are. End the test pipeline with '
    f'PackMultiLabelInputs in place of PackInputs, and test again. {_NO_AREAS}'
)


def write_report(
    config: str | os.PathLike | Config,
    predictions: str | os.PathLike,
    out_dir: str | os.PathLike,
    checkpoint: str | os.PathLike | None = None,
    compare: str | os.PathLike | None = None,
    thumbnails: int = 12,
    thr: float = 0.5,
) -> Path:
    """Write ``index.html``, which needs no other file and no network.

    Images are copied into the page only from the folders of the config's test dataset (after
    ``..`` and links); others leave an empty frame, and are counted on the page.

    Args:
        config (str | PathLike | Config): What was tested.
        predictions (str | PathLike): The file of ``tools/test.py --out``.
        out_dir (str | PathLike): The folder; it is made, an older page is replaced.
        checkpoint (str | PathLike, optional): For overlays of the head's attention on the images.
        compare (str | PathLike, optional): Another such file, of the same images and classes.
        thumbnails (int): Images of false alarms, and of misses, at least 0. Defaults to 12.
        thr (float): In ``[0, 1]``: where the slider starts, and the score from which a class counts
            as reported among the confusions. Defaults to 0.5.

    Returns:
        Path: The page.

    Raises:
        FileNotFoundError: If a file is not there.
        ValueError: If a file is not what it should be, the predictions do not fit the config or
            each other, the head has no attention, or an argument is out of range.
        RuntimeError: If the checkpoint is of another model.
        ModuleNotFoundError: If plotly is not installed.
    """
    if not 0 <= thr <= 1:
        raise ValueError(f'thr must be in [0, 1], but got {thr}')
    if thumbnails < 0:
        raise ValueError(f'thumbnails must be at least 0, but got {thumbnails}')
    if checkpoint is not None and not thumbnails:
        raise ValueError('a checkpoint is for attention on images, and thumbnails=0 shows none')
    plotly_js = _plotly_js()
    cfg = read_config(config)
    runs = [read_test_run(path) for path in (predictions, compare) if path is not None]
    run = runs[0]
    check_same_images(run, runs[-1])
    classes, no_names = read_class_names(cfg, run)
    attend = None
    if checkpoint is not None:
        attend = attention_overlays(cfg, checkpoint, classes)
    roots = image_roots(cfg)
    errors = []
    for each in runs:
        # The checkpoint is that of the first run; its paths, too, as the other's may be elsewhere.
        shown = replace(each, images=run.images)
        alarms, misses = (
            [error_card(shown, e, classes, roots, attend if each is run else None) for e in worst]
            for worst in worst_errors(each.scores, each.targets, thumbnails)
        )
        confusions = find_confusions(each.scores, each.targets, classes, thr)
        errors.append(dict(alarms=alarms, misses=misses, confusions=confusions))
    notes = [] if run.raw_scores is not None else [_NO_RAW]
    map_type = next((m.get('map_type', 'integral') for m in map_evaluators(cfg)), 'integral')
    if map_type != 'integral':
        notes.append(f'AP and mAP are those of map_type={map_type!r}, as the config has it.')
    if checkpoint is not None and compare is not None:
        notes.append('The attention is that of the checkpoint of A, so that images of B have none.')
    cards = [card for kinds in errors for card in (*kinds['alarms'], *kinds['misses'])]
    notes += [*_image_notes(cards), *filter(None, [no_names])]
    data = dict(
        title='/'.join(Path(cfg.filename or '').absolute().with_suffix('').parts[-2:]),
        config=str(cfg.filename or ''),
        checkpoint=None if checkpoint is None else str(checkpoint),
        runs=[dict(file=str(r.path), date=r.date.isoformat(timespec='minutes')) for r in runs],
        images=len(run.images),
        unlabelled=int((run.targets == 0).all(axis=1).sum()),
        unknown=int((run.targets == -1).sum()),
        classes=classes,
        positives=(run.targets == 1).sum(axis=0).tolist(),
        negatives=(run.targets == 0).sum(axis=0).tolist(),
        thr=thr,
        noSizes=_why_no_sizes(cfg, run),
        series=_series(runs, map_type),
        errors=errors,
        notes=notes,
    )
    out = Path(out_dir, 'index.html')
    write_page(
        out,
        Path(__file__).parent / 'template/report.html',
        ['numbers', 'table', 'charts', 'confusions', 'images', 'report'],
        'report',
        data,
        images='data: blob:',
        plotly=plotly_js,
    )
    return out


def _why_no_sizes(cfg: Config, run: TestRun) -> str | None:
    """Explain why there is no AP by the size of objects, if there is none."""
    if run.size_masks is not None:
        return None if run.size_masks.any() else _NO_AREAS
    *_, last = cfg.test_dataloader.dataset.get('pipeline') or [{}]
    return _NO_AREAS if last.get('type') == 'PackMultiLabelInputs' else _NO_SIZES


def _image_notes(cards: list[dict]) -> list[str]:
    """Explain images that are not shown."""
    outside = sum(card['outside'] for card in cards)
    unreadable = sum(card['image'] is None for card in cards) - outside
    reasons = {
        'are not shown: they lie outside data_root and data_prefix of the config, and what a file '
        'of predictions names elsewhere is not copied into a page.': outside,
        'could not be read where the test read them; run the report in the same folder, with the '
        'images there.': unreadable,
    }
    return [f'{n} of {len(cards)} images {reason}' for reason, n in reasons.items() if n]


def _series(runs: list[TestRun], map_type: str) -> list[dict]:
    """Return the numbers of all sets of scores, named by weights, and by A and B if two runs."""
    truth = runs[0].targets, runs[0].size_masks, map_type  # which objects there are, for both
    series = []
    for prefix, run in zip(('A: ', 'B: ') if len(runs) > 1 else ('',), runs, strict=True):
        if run.raw_scores is None:
            series.append(series_numbers(prefix + 'tested', run.scores, *truth))
        else:
            series.append(series_numbers(prefix + 'EMA', run.scores, *truth))
            series.append(series_numbers(prefix + 'raw', run.raw_scores, *truth))
    return series


def _plotly_js() -> str:
    try:
        from plotly.offline import get_plotlyjs
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError('the report is drawn with plotly: pip install plotly') from error
    return get_plotlyjs()
