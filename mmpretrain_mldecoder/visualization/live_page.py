"""Page of a training that runs: curves, AP per class, and the same images at each validation."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image

from ..fileio.terminal import printable
from .attention_figure import COLORMAP
from .html_page import image_address, read_page_data, write_page

SIDE = 240  # of an image, pixels
MAX_RECORDS = 1500  # of the training, in the page
MAX_DETAILED = 12  # validations with AP per class and images; of all others the metrics are kept
MAX_LABELS = 6  # of an image
MAX_NAMED = 5  # classes in the line for the log
_NO_CURVES = ('step', 'epoch', 'iter', 'time', 'data_time', 'memory')


@dataclass(frozen=True)
class LiveImage:
    """One of the images that the page shows at each validation."""

    file: str
    view: np.ndarray  # BGR uint8 (H, W, 3): what the network sees
    targets: np.ndarray  # (C,): 1 positive, 0 negative, -1 unknown


class LivePage:
    """A page that a training writes again and again, and that reloads itself in a browser.

    It is one file, complete at any time, which needs no other file and no network. Validations are
    counted in a ``unit``, ``'epoch'`` or ``'iteration'``; the ``notes`` are sentences at its top.
    """

    def __init__(
        self, path: Path, title: str, unit: str, classes: Sequence[str], notes: Sequence[str] = ()
    ):
        self.path = path
        self._head = dict(title=title, unit=unit, classes=list(classes), notes=list(notes))
        self._training: list[dict] = []  # of the runs before this one
        self._validations: list[dict] = []
        self._images: list[dict] = []
        self._targets: list[np.ndarray] = []
        self._positives: list[int] | None = None

    def continue_from(self, iteration: int, validation: int) -> None:
        """Take over what the page shows up to an iteration and a validation (by its step)."""
        try:
            data = read_page_data(self.path)
            if any(data[key] != self._head[key] for key in ('unit', 'classes')):
                return
            training, validations = data['training'], data['validations']
            self._images, self._positives = data['images'], data['positives']
        except (OSError, ValueError, KeyError):  # none, or one of another version
            return
        self._training = [record for record in training if record['step'] <= iteration]
        self._validations = [record for record in validations if record['step'] <= validation]

    def set_images(self, images: Sequence[LiveImage]) -> None:
        """Set the images whose scores :meth:`add_validation` gets."""
        self._targets = [image.targets for image in images]
        former, self._images = self._images, [_image(image) for image in images]
        if [image['file'] for image in former] != [image['file'] for image in self._images]:
            for record in self._validations:
                record['images'] = None

    def add_validation(
        self,
        step: int,
        metrics: Mapping[str, float],
        class_ap: np.ndarray | None = None,
        positives: np.ndarray | None = None,
        scores: np.ndarray | None = None,
        attention: Sequence[np.ndarray] | None = None,
    ) -> None:
        """Add what a validation found after an epoch or iteration.

        The first of the metrics is the main one. Of each class, ``(C,)``, there are AP as a
        fraction (nan for none) and positive images; of the n images of the page scores, ``(n, C)``,
        and maps of attention, ``(K, H, W)`` of K queries, each of which answers for ``ceil(C / K)``
        consecutive classes.
        """
        known = self._validations = [each for each in self._validations if each['step'] < step]
        numbers = {name: _number(value) for name, value in metrics.items() if _is_number(value)}
        ap = None if class_ap is None else [_number(100 * value) for value in class_ap]
        images = None
        if scores is not None:
            maps = attention if attention is not None else [None] * len(scores)
            images = [
                _labels(own_scores, targets, own_maps)
                for own_scores, targets, own_maps in zip(scores, self._targets, maps, strict=True)
            ]
        if positives is not None:
            self._positives = [int(number) for number in positives]
        known.append(dict(step=step, metrics=numbers, ap=ap, images=images))
        spacing = 1
        while len(known) > MAX_DETAILED * spacing:
            spacing *= 2
        for index, record in enumerate(known[:-1]):
            if index % spacing:
                record['ap'] = record['images'] = None

    def write(self, training: Sequence[Mapping], is_finished: bool = False, **progress) -> None:
        """Write the page with the records of this run, which have ``step``, ``loss`` and ``lr``.

        It stays as it is if the training is finished. Progress is ``iteration`` and
        ``max_iterations``, ``epoch`` and ``max_epochs`` (None in a training by iterations),
        ``seconds_left`` (or None), and ``refresh`` in seconds.
        """
        records = [
            {
                key: _number(value)
                for key, value in record.items()
                if _is_number(value) and (key == 'step' or key not in _NO_CURVES)
            }
            for record in training
        ]
        if records:
            earlier = [each for each in self._training if each['step'] < records[0]['step']]
            records = earlier + records
        else:
            records = self._training
        while len(records) > MAX_RECORDS:
            records = records[-1::-2][::-1]
        data = dict(
            self._head,
            folder=str(self.path.parent),
            written=round(time.time()),
            finished=is_finished,
            progress=progress,
            training=records,
            validations=self._validations,
            positives=self._positives,
            images=self._images,
        )
        write_page(
            self.path,
            Path(__file__).parent / 'template/live.html',
            ['line_chart', 'live_images', 'live'],
            'trained' if is_finished else 'training',
            data,
            sync=False,
        )

    def summary(self) -> str:
        """Return the last validation in one line: metrics, what changed, the weakest classes."""
        *earlier, last = self._validations
        before = earlier[-1]['metrics'] if earlier else {}
        parts = [
            f'{name} {value:.2f}'
            + (f' ({value - before[name]:+.2f})' if before.get(name) is not None else '')
            for name, value in last['metrics'].items()
            if value is not None
        ]
        line = f'Validation after {self._head["unit"]} {last["step"]}: '
        line += ', '.join(parts) or 'no metric'
        scored = [(ap, c) for c, ap in enumerate(last['ap'] or []) if ap is not None]
        if scored:
            lowest = sorted(scored)[:MAX_NAMED]
            names = (f'{printable(self._head["classes"][c])} {ap:.1f}' for ap, c in lowest)
            line += f'. Lowest AP: {", ".join(names)}'
        return line


def _image(image: LiveImage) -> dict:
    view = Image.fromarray(image.view[..., ::-1])
    view.thumbnail((SIDE, SIDE))
    positive, unknown = (np.flatnonzero(image.targets == value).tolist() for value in (1, -1))
    return dict(file=image.file, image=image_address(view), positive=positive, unknown=unknown)


def _labels(scores: np.ndarray, targets: np.ndarray, maps: np.ndarray | None) -> list[list]:
    """Return class, score and map of some labels: the positive ones first, then the best."""
    order = np.argsort(-scores, kind='stable')
    positive = order[targets[order] == 1]
    # one at least is what the network itself would say
    chosen = [*positive[: MAX_LABELS - 1], *order[targets[order] != 1]][:MAX_LABELS]
    labels = []
    for label in chosen:
        address = None
        if maps is not None:
            group_size = -(-len(scores) // len(maps))
            address = _map_address(maps[label // group_size])
        labels.append([int(label), _number(scores[label]), address])
    return labels


def _map_address(weights: np.ndarray) -> str:
    """Return one pixel a cell, which the browser enlarges: some hundred bytes."""
    share = weights / max(float(weights.max()), np.finfo(np.float32).tiny)
    colors = matplotlib.colormaps[COLORMAP](share)[..., :3]
    return image_address(Image.fromarray((255 * colors).round().astype(np.uint8)), 'PNG')


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def _number(value: float) -> float | None:
    """JSON has neither nan nor infinity; six digits are more than is drawn."""
    return float(f'{value:.6g}') if math.isfinite(value) else None
