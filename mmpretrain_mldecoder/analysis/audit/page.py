"""Page on which suspected labels are accepted or rejected: one HTML file with all it shows."""

import os
import shlex
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...datasets.label_files import LabelTable
from ...visualization.html_page import write_page
from ..report.images import read_thumbnail
from .suspicions import Suspicion


def class_rows(
    table: LabelTable, scores: np.ndarray, suspicions: Sequence[Suspicion]
) -> list[dict]:
    """Count the labels and the suspicions of each class; ``judged`` if there are enough labels."""
    found = np.zeros((2, len(table.classes)), int)
    for suspicion in suspicions:
        found[suspicion.given, suspicion.label] += 1
    return [
        dict(
            name=name,
            labels=int((table.targets[:, i] == 1).sum()),
            unknown=int((table.targets[:, i] == -1).sum()),
            missing=int(found[0, i]),
            spurious=int(found[1, i]),
            judged=not bool(np.isnan(scores[:, i]).all()),
        )
        for i, name in enumerate(table.classes)
    ]


def write_audit_page(
    out: Path,
    run: Path,
    data: str | os.PathLike,
    table: LabelTable,
    classes: list[dict],
    suspicions: Sequence[Suspicion],
    facts: Sequence[tuple[str, str]],
    notes: Sequence[str],
) -> None:
    """Write the page of some suspicions, ``out``; its head has ``facts`` and ``notes``.

    ``run`` is the folder of the run, under whose name the browser keeps the decisions, ``data``
    that of the images; ``classes`` are those of :func:`class_rows`.
    """
    place: dict[int, int] = {}  # of an image among those of the page, each once
    for suspicion in suspicions:
        place.setdefault(suspicion.image, len(place))
    images = [
        dict(
            file=table.images[i],
            labels=[table.classes[label] for label in np.flatnonzero(table.targets[i] == 1)],
            pixels=read_thumbnail(os.path.join(data, table.images[i])),
        )
        for i in place
    ]
    content = dict(
        run=str(run.resolve()),
        title=os.path.basename(os.path.abspath(data)),
        command=f'mldecoder audit {shlex.quote(str(run))} --apply decisions.json',
        facts=facts,
        notes=notes,
        classes=classes,
        images=images,
        suspicions=[
            dict(
                image=place[each.image],
                label=each.label,
                kind=each.kind,
                score=round(each.score, 4),
            )
            for each in suspicions
        ],
    )
    body = Path(__file__).parent / 'template/audit.html'
    write_page(out, body, ['audit'], 'audit of labels', content)
