"""Order records by the image they belong to.

Each function takes N images, named by their position, and records in arrays. To sort one number
that says both image and record is several times faster than a stable argsort, and to drop what
repeats in sorted numbers faster than ``np.unique``.
"""

import numpy as np


def records_by_image(images: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Return the positions of the chosen records, by image, then in their order.

    Args:
        images (np.ndarray): ``(M,)`` int64, the image of each record.
        chosen (np.ndarray): ``(M,)`` bool.
    """
    positions = np.flatnonzero(chosen)
    return np.sort(images[positions] * len(images) + positions) % max(len(images), 1)


def labels_by_image(
    images: np.ndarray, labels: np.ndarray, num_labels: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return each label of each image once, ascending, as two arrays: images and labels.

    Args:
        images (np.ndarray): ``(M,)`` int64, the image of each record.
        labels (np.ndarray): ``(M,)`` int64 in ``[0, num_labels)``.
        num_labels (int): More than any label.
    """
    pairs = np.sort(images * num_labels + labels)
    return np.divmod(pairs[np.diff(pairs, prepend=-1) > 0], num_labels)


def image_bounds(images: np.ndarray, num_images: int) -> np.ndarray:
    """Return ``(N + 1,)`` bounds: sorted records ``bounds[i]:bounds[i + 1]`` are of image ``i``."""
    return np.concatenate(([0], np.cumsum(np.bincount(images, minlength=num_images))))
