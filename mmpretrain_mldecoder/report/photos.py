"""The photos on which the model is most wrong and most sure, as small pictures for the page."""

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image, ImageOps

from ..datasets.picture_file import read_picture_file
from ..visualization.attention_overlay import attention_overlay

SIDE = 240  # of a thumbnail, pixels
QUALITY = 72
MAX_LABELS = 8  # named beside a photo


@dataclass(frozen=True)
class Mistake:
    """One wrong answer: class ``label`` of picture ``image``."""

    image: int
    label: int


def worst_mistakes(
    scores: np.ndarray, targets: np.ndarray, number: int
) -> tuple[list[Mistake], list[Mistake]]:
    """Find the negatives that score highest and the positives that score lowest.

    A picture stands for its worst mistake only, so it comes once in each list. No threshold is
    asked: these are the mistakes that no choice of one mends. Ties are in the order of pictures.

    Args:
        scores (np.ndarray): ``(N, C)`` probabilities.
        targets (np.ndarray): ``(N, C)``; unknown labels (-1) are no mistakes.
        number (int): Of each kind, at most.

    Returns:
        tuple[list[Mistake], list[Mistake]]: False alarms and misses, the worst first.
    """
    alarms = _worst(np.where(targets == 0, -scores, np.inf), number)
    misses = _worst(np.where(targets == 1, scores, np.inf), number)
    return alarms, misses


def _worst(goodness: np.ndarray, number: int) -> list[Mistake]:
    labels = goodness.argmin(axis=1)
    lowest = goodness[np.arange(len(goodness)), labels]
    order = np.argsort(lowest, kind='stable')[:number]
    return [Mistake(int(i), int(labels[i])) for i in order if np.isfinite(lowest[i])]


def read_thumbnail(path: str) -> str | None:
    """Return a photo as a small JPEG in a data address; None if it cannot be read."""
    try:
        with Image.open(io.BytesIO(read_picture_file(path))) as photo:
            photo.draft('RGB', (2 * SIDE, 2 * SIDE))  # of a JPEG, decodes no more than is shown
            photo = ImageOps.exif_transpose(photo).convert('RGB')
            photo.thumbnail((SIDE, SIDE))
    except Exception:  # each decoder has its own
        return None
    return encode_jpeg(photo)


def encode_jpeg(photo: Image.Image) -> str:
    """Return a picture as a data address."""
    buffer = io.BytesIO()
    photo.save(buffer, 'JPEG', quality=QUALITY)
    return 'data:image/jpeg;base64,' + base64.b64encode(buffer.getvalue()).decode()


def encode_attention(seen: np.ndarray, attention: np.ndarray) -> str:
    """Lay the attention of one class over what the network saw, as a data address.

    Args:
        seen (np.ndarray): BGR uint8 ``(h, w, 3)``.
        attention (np.ndarray): ``(num_heads, H, W)``; the mean of the heads is shown.
    """
    scale = SIDE / max(seen.shape[:2])
    size = [max(1, round(side * scale)) for side in seen.shape[1::-1]]
    small = cv2.resize(seen, size, interpolation=cv2.INTER_AREA)
    return encode_jpeg(Image.fromarray(attention_overlay(small, attention.mean(axis=0))))


def photo_cards(
    mistakes: Sequence[Mistake],
    images: Sequence[str],
    scores: np.ndarray,
    targets: np.ndarray,
    classes: Sequence[str],
    attend: Callable[[str, int], tuple[str, list[str]]] | None = None,
    may_show: Callable[[str], bool] | None = None,
) -> list[dict]:
    """Describe mistakes for the page.

    Args:
        mistakes (Sequence[Mistake]): Of one kind.
        images (Sequence[str]): ``N`` paths.
        scores (np.ndarray): ``(N, C)`` probabilities.
        targets (np.ndarray): ``(N, C)``.
        classes (Sequence[str]): ``C`` names.
        attend (Callable, optional): Gives the overlay of a picture and a class, and the names of
            the other classes that share its query. Defaults to None.
        may_show (Callable, optional): Tells by its path whether a photo may be copied into the
            page. Defaults to None: all may.

    Returns:
        list[dict]: ``file``, ``label``, ``score``, ``truth`` (names), ``more`` (labels not named),
        ``photo`` (data address or None), ``outside`` (whether it may not be shown), ``attention``
        (data address or None), ``shares``.
    """
    cards = []
    for mistake in mistakes:
        truth = np.flatnonzero(targets[mistake.image] == 1)
        is_ours = may_show is None or may_show(images[mistake.image])
        photo = read_thumbnail(images[mistake.image]) if is_ours else None
        attention, shares = None, []
        if attend is not None and photo is not None:
            attention, shares = attend(images[mistake.image], mistake.label)
        cards.append(
            dict(
                file=images[mistake.image],
                label=classes[mistake.label],
                score=round(float(scores[mistake.image, mistake.label]), 4),
                truth=[classes[label] for label in truth[:MAX_LABELS]],
                more=max(0, len(truth) - MAX_LABELS),
                photo=photo,
                outside=not is_ours,
                attention=attention,
                shares=shares[:MAX_LABELS],
            )
        )
    return cards
