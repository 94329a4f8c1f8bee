"""Images of the report: the most confident errors, with attention overlays."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from mmengine.config import Config
from PIL import Image

from ...apis import MultiLabelInferencer
from ...datasets.decode_image import decode_image
from ...datasets.image_files import read_image_file
from ...fileio.terminal import printable
from ...visualization import attention_overlay
from ...visualization.html_page import image_address
from .test_run import TestRun

SIDE = 240  # of a thumbnail, pixels
MAX_LABELS = 8  # named beside an image


def image_roots(cfg: Config) -> list[str]:
    """Return the folders of the test's images, as they are named and without links in their paths.

    They are the dataset's ``data_root`` and its ``data_prefix`` below that, so that a folder of
    images may be a link to another disk; the current folder if there is neither.
    """
    dataset = cfg.test_dataloader.dataset
    while 'data_root' not in dataset and isinstance(dataset.get('dataset'), Mapping):
        dataset = dataset['dataset']  # a wrapper
    root, prefix = dataset.get('data_root') or '', dataset.get('data_prefix') or ''
    prefixes = list(prefix.values()) if isinstance(prefix, Mapping) else [prefix]
    folders = [root, *(os.path.join(root, one or '') for one in prefixes)]
    named = [os.path.abspath(folder) for folder in folders if folder] or [os.getcwd()]
    return sorted({*named, *map(os.path.realpath, named)})


def is_inside(path: str, roots: Sequence[str]) -> bool:
    """Whether a file lies in one of the folders, by its name or behind links.

    So the images may be links to a cache, such as those of DVC and Hugging Face. A name with ``..``
    counts by where it leads alone, a wrong one not at all.
    """
    try:
        paths = [os.path.realpath(path)]
    except ValueError:  # NUL in the name
        return False
    if os.pardir not in Path(path).parts:
        paths.append(os.path.abspath(path))
    return any(Path(each).is_relative_to(root) for each in paths for root in roots)


def attention_overlays(
    config: Config, checkpoint: str | os.PathLike, classes: Sequence[str]
) -> Callable[[str, int], tuple[str, list[str]]]:
    """Load a model whose attention is drawn for one class of one image at a time.

    Its weights are those of the EMA where training kept one; ``classes`` are those of the report.
    What is returned takes a path and a class, and returns the overlay as a data address, and the
    classes that share the query; it raises ``ValueError`` if the head has no attention.

    Raises ``FileNotFoundError`` without a checkpoint, ``ValueError`` if it has other classes.
    """
    inferencer = MultiLabelInferencer(config, checkpoint, batch_size=1, backend='torch')
    if list(inferencer.classes) != list(classes):
        theirs, ours = (printable(', '.join(names[:3])) for names in (inferencer.classes, classes))
        raise ValueError(
            f'{checkpoint} has the classes {theirs}, ... and the predictions {ours}, ...: they do '
            'not belong together'
        )

    def attend(image: str, label: int) -> tuple[str, list[str]]:
        (prediction,) = inferencer(image, thr=0.0, return_attention=True)
        place = prediction['labels'].index(classes[label])
        seen, attention = prediction['seen'], prediction['attention'][place].mean(axis=0)
        scale = SIDE / max(seen.shape[:2])
        size = [max(1, round(side * scale)) for side in seen.shape[1::-1]]
        small = cv2.resize(seen, size, interpolation=cv2.INTER_AREA)
        overlay = image_address(Image.fromarray(attention_overlay(small, attention)))
        return overlay, list(prediction['shares_query_with'][place])

    return attend


def worst_errors(
    scores: np.ndarray, targets: np.ndarray, number: int
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Find image and class of the negatives that score highest and the positives that score lowest.

    No threshold is applied: no choice of one corrects these errors. An image stands for its worst
    error only, so it comes once in each list. Ties are in the order of images.
    """
    lists = []
    for target, badness in ((0, scores), (1, -scores)):
        badness = np.where(targets == target, badness, -np.inf)
        labels, worst = badness.argmax(axis=1), badness.max(axis=1)
        order = np.argsort(-worst, kind='stable')[:number]
        lists.append([(int(i), int(labels[i])) for i in order if np.isfinite(worst[i])])
    return lists[0], lists[1]


def read_thumbnail(path: str) -> str | None:
    """Return an image as a small JPEG in a data address; None if it cannot be read."""
    try:
        # of a JPEG, decodes no more than is shown
        small = Image.fromarray(decode_image(path, read_image_file(path), min_side=SIDE)[..., ::-1])
        small.thumbnail((SIDE, SIDE))
    except Exception:  # each decoder has its own
        return None
    return image_address(small)


def error_card(
    run: TestRun,
    error: tuple[int, int],
    classes: Sequence[str],
    roots: Sequence[str],
    attend: Callable[[str, int], tuple[str, list[str]]] | None = None,
) -> dict:
    """Describe one error, of an image and a class, for the page.

    ``truth`` has names, ``more`` is how many are not named. ``image`` and ``attention`` are data
    addresses or None, ``outside`` tells whether the image may not be shown: it is copied into the
    page only from the folders ``roots``. For ``attend``, see :func:`attention_overlays`.
    """
    index, label = error
    path = run.images[index]
    truth = np.flatnonzero(run.targets[index] == 1)
    outside = not is_inside(path, roots)
    image = None if outside else read_thumbnail(path)
    attention, shares = attend(path, label) if attend and image else (None, [])
    return dict(
        file=path,
        label=classes[label],
        score=round(float(run.scores[index, label]), 4),
        truth=[classes[i] for i in truth[:MAX_LABELS]],
        more=max(0, len(truth) - MAX_LABELS),
        image=image,
        outside=outside,
        attention=attention,
        shares=shares[:MAX_LABELS],
    )
