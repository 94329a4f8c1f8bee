"""The report of a test run: one HTML file that holds all it shows."""

import json
import os
import re
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import numpy as np
from mmengine.config import Config

from ...engine.checks.config_error import read_config
from ...fileio.atomic_write import atomic_write
from ...version import __version__
from .confusions import find_mix_ups
from .images import PhotoAttention, is_inside, photo_cards, photo_roots, worst_mistakes
from .numbers import series_numbers
from .test_run import TestRun, check_same_images, read_class_names, read_test_run

_SCRIPTS = ('numbers.js', 'table.js', 'charts.js', 'mix_ups.js', 'photos.js', 'page.js')

_NO_RAW = (
    'The file has one score a class and image: of the EMA weights if the checkpoint has both, '
    'unless it was tested with --weights raw or --weights ema. To see EMA beside raw, test without '
    '--weights: tools/test.py CONFIG CHECKPOINT --out predictions.pkl'
)
_NO_SIZES = (
    'The samples do not say how large the objects are. End the test pipeline with '
    'PackMultiLabelInputs in place of PackInputs, on a dataset that knows areas (COCOMultiLabel), '
    'and test again.'
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

    Args:
        config (str | PathLike | Config): What was tested.
        predictions (str | PathLike): The file of ``tools/test.py --out``.
        out_dir (str | PathLike): The folder; it is made, an older page is replaced.
        checkpoint (str | PathLike, optional): For overlays of the head's attention on the photos.
            Defaults to None, none.
        compare (str | PathLike, optional): Another file of ``tools/test.py --out``, of the same
            images and classes. Defaults to None.
        thumbnails (int): Photos of false alarms and of misses, so many of each, at least 0.
            Defaults to 12.
        thr (float): In ``[0, 1]``: where the slider starts, and from which score on a class counts
            as reported where classes are mixed up. Defaults to 0.5.

    Photos are copied into the page only from the folders of the config's test data set (after
    ``..`` and links); others leave an empty frame, and are counted on the page.

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
    plotly_js = _plotly_js()
    cfg = config if isinstance(config, Config) else read_config(config)
    run = read_test_run(predictions)
    other = None if compare is None else read_test_run(compare)
    if other is not None:
        check_same_images(run, other)
    classes, no_names = read_class_names(cfg, run.num_classes)
    attend = None
    if checkpoint is not None and thumbnails:
        attend = PhotoAttention(cfg, checkpoint, classes)
    roots = photo_roots(cfg)
    data = report_data(
        run, classes, other, thumbnails, thr, attend, lambda path: is_inside(path, roots)
    )
    data['config'] = str(cfg.filename or '')
    data['checkpoint'] = None if checkpoint is None else str(checkpoint)
    data['notes'] += [no_names] if no_names else []
    out = Path(out_dir, 'index.html')
    with atomic_write(out) as path:
        path.write_text(render_page(data, plotly_js), encoding='utf-8')
    return out


def report_data(
    run: TestRun,
    classes: list[str],
    other: TestRun | None = None,
    thumbnails: int = 12,
    thr: float = 0.5,
    attend: Callable[[str, int], tuple[str, list[str]]] | None = None,
    may_show: Callable[[str], bool] | None = None,
) -> dict:
    """Return all that the page shows, ready for JSON.

    ``series`` holds a set of numbers for each set of scores: of the run, of its raw weights, and
    the same of the run that it is compared with.
    """
    alarms, misses = worst_mistakes(run.scores, run.targets, thumbnails)
    cards = [
        photo_cards(mistakes, run.images, run.scores, run.targets, classes, attend, may_show)
        for mistakes in (alarms, misses)
    ]
    notes = [] if run.raw_scores is not None else [_NO_RAW]
    outside = sum(card['outside'] for kind in cards for card in kind)
    if outside:
        notes.append(
            f'{outside} of {sum(map(len, cards))} photos are not shown: they lie outside data_root '
            'and data_prefix of the config, and what a file of predictions names elsewhere is '
            'not copied into a page.'
        )
    unreadable = sum(card['photo'] is None for kind in cards for card in kind) - outside
    if unreadable:
        notes.append(
            f'{unreadable} of {sum(map(len, cards))} photos could not be read where the test read '
            'them; run the report in the same folder, with the images there.'
        )
    return dict(
        version=__version__,
        config='',
        checkpoint=None,
        runs=[
            dict(file=str(one.path), date=one.date.isoformat(timespec='minutes'))
            for one in ([run] if other is None else [run, other])
        ],
        images=len(run.images),
        unlabelled=int((~(run.targets == 1).any(axis=1)).sum()),
        unknown=int((run.targets == -1).sum()),
        classes=classes,
        positives=(run.targets == 1).sum(axis=0).tolist(),
        negatives=(run.targets == 0).sum(axis=0).tolist(),
        thr=thr,
        noSizes=_NO_SIZES if run.size_masks is None else None,
        series=[series_numbers(*parts) for parts in _series(run, other)],
        mixUps=find_mix_ups(run.scores, run.targets, classes, thr),
        alarms=cards[0],
        misses=cards[1],
        notes=notes,
    )


def _series(run: TestRun, other: TestRun | None) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Name the sets of scores: by their weights, and by A and B where there are two runs."""
    series = []
    for letter, one in (('A', run), ('B', other)):
        if one is None:
            continue
        prefix = '' if other is None else f'{letter}: '
        named = dict(tested=one.scores)
        if one.raw_scores is not None:
            named = dict(EMA=one.scores, raw=one.raw_scores)
        # Which objects there are is said by the first run's file, for both.
        series += [
            (prefix + name, scores, run.targets, run.size_masks) for name, scores in named.items()
        ]
    return series


def render_page(data: dict, plotly_js: str) -> str:
    """Put data, styles and scripts into the page's frame.

    No text of the data is part of the HTML: the scripts read it from a block of JSON, in which
    nothing can end the block, and write it as text.
    """
    # ASCII: a file name may hold bytes that are no UTF-8.
    text = json.dumps(data, separators=(',', ':'), allow_nan=False)
    for character in '<>&':
        text = text.replace(character, f'\\u{ord(character):04x}')
    template = files(__package__) / 'template'
    parts = dict(
        styles=(template / 'page.css').read_text(encoding='utf-8'),
        scripts='\n'.join((template / name).read_text(encoding='utf-8') for name in _SCRIPTS),
        plotly=plotly_js,
        data=text,
    )
    frame = (template / 'page.html').read_text(encoding='utf-8')
    return re.sub(r'\{\{(\w+)\}\}', lambda place: parts[place[1]], frame)


def _plotly_js() -> str:
    try:
        from plotly.offline import get_plotlyjs
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "the report is drawn with plotly: pip install 'mmpretrain_mldecoder[report]'"
        ) from error
    return get_plotlyjs()
