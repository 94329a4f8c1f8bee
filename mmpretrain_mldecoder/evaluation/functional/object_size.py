"""Targets for AP by object size: how well are small, medium and large objects found?

Source: the bins of COCO's detection evaluation (area below 32², below 96², larger), carried over to
image labels. Differs from pycocotools in: an area of exactly 32² or 96² belongs to one bin (the
larger) instead of two.
"""

import numpy as np

# Bin i holds the areas in [edge i - 1, edge i); square pixels of the original image.
SIZE_BINS = ('small', 'medium', 'large')
_SIZE_EDGES = (32**2, 96**2)


def object_size_mask(labels: np.ndarray, areas: np.ndarray, num_classes: int) -> np.ndarray:
    """Note for each class in which size bins one image has instances of it.

    Args:
        labels (np.ndarray): Class index of every instance of the image, in ``[0, num_classes)``.
        areas (np.ndarray): Area of every instance in square pixels of the original image, as the
            annotation file gives it (COCO: of the mask, not of the box). NaN and 0 are unknown.
        num_classes (int): Number of classes ``C``.

    Returns:
        np.ndarray: ``(C,)`` uint8; bit ``i`` is set if there is an instance in ``SIZE_BINS[i]``; an
        instance of unknown area sets none.

    Raises:
        ValueError: If the lengths differ, a label is out of range, or an area is negative.
    """
    labels, areas = np.asarray(labels, dtype=np.int64), np.asarray(areas)
    if labels.ndim != 1 or labels.shape != areas.shape:
        raise ValueError(
            'labels and areas must be two lists of the same length, '
            f'got shapes {labels.shape} and {areas.shape}.'
        )
    if labels.size and not 0 <= labels.min() <= labels.max() < num_classes:
        raise ValueError(
            f'instance labels must be in [0, {num_classes}), got {labels.min()} to {labels.max()}.'
        )
    if (areas < 0).any():
        raise ValueError(f'instance areas must not be negative, got {areas[areas < 0]}.')
    mask = np.zeros(num_classes, dtype=np.uint8)
    known = areas > 0
    bins = np.digitize(areas[known], _SIZE_EDGES)
    np.bitwise_or.at(mask, labels[known], np.left_shift(1, bins).astype(np.uint8))
    return mask


def object_size_targets(targets: np.ndarray, masks: np.ndarray, size: str) -> np.ndarray:
    """Turn image labels into labels for one size bin, all ``(N, C)``; the output is int8.

    For each class an image is positive if it has an instance of the class in the bin, unknown (-1,
    which AP leaves out) if it has the class in other bins or in unknown sizes only, and negative if
    it lacks the class. An unknown label stays unknown.

    Args:
        targets (np.ndarray): 1 positive, 0 negative, -1 unknown.
        masks (np.ndarray): One :func:`object_size_mask` per image.
        size (str): One of ``SIZE_BINS``.

    Raises:
        ValueError: If ``size`` is unknown, the shapes differ, or an image has an instance of a
            class that its label says is absent.
    """
    if size not in SIZE_BINS:
        raise ValueError(f'size must be one of {SIZE_BINS}, got {size!r}.')
    targets, masks = np.asarray(targets), np.asarray(masks)
    if targets.ndim != 2 or targets.shape != masks.shape:
        raise ValueError(
            'targets and masks must have the same shape (samples, classes), '
            f'got {targets.shape} and {masks.shape}.'
        )
    contradiction = (masks != 0) & (targets == 0)
    if contradiction.any():
        sample, label = np.argwhere(contradiction)[0]
        raise ValueError(
            f'sample {sample} has an instance of class {label}, but its label says that the class '
            'is absent: labels and instances come from different class lists or annotation files.'
        )
    in_bin = (masks >> SIZE_BINS.index(size)) & 1
    return np.where((targets == 1) & (in_bin == 0), -1, targets).astype(np.int8)
