"""The samples of a COCO dataset, in arrays that workers share."""

import os.path as osp
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Union

import numpy as np

from .coco_annotations import PackedStrings


@dataclass(frozen=True, eq=False)
class CocoSamples(Sequence[dict]):
    """A read-only sequence of one dict an image, made when asked for.

    What forked workers share with their parent stays shared until somebody writes to it, and
    Python writes to an object (its reference count) by looking at it. These arrays are few objects
    however many images there are, so that a worker copies next to nothing.

    A dict is the caller's own: to change it, its arrays included, changes nothing here. A slice
    and :meth:`take` give samples that share the arrays.

    Attributes:
        rows (np.ndarray): Which of the N images are samples, in order.
        folder (str): Folder of the images.
        file_names (PackedStrings): N paths relative to ``folder``.
        image_ids (np.ndarray): ``(N,)`` int64.
        heights (np.ndarray): ``(N,)`` int64, pixels.
        widths (np.ndarray): ``(N,)`` int64, pixels.
        labels (np.ndarray): int64, the labels of the first image, of the second, and so on.
        label_bounds (np.ndarray): ``(N + 1,)`` int64: those of image ``i`` are
            ``labels[label_bounds[i]:label_bounds[i + 1]]``.
        box_labels (np.ndarray): int64, the same for boxes.
        box_areas (np.ndarray): float32, square pixels.
        box_bounds (np.ndarray): ``(N + 1,)`` int64, as ``label_bounds``.
    """

    rows: np.ndarray
    folder: str
    file_names: PackedStrings
    image_ids: np.ndarray
    heights: np.ndarray
    widths: np.ndarray
    labels: np.ndarray
    label_bounds: np.ndarray
    box_labels: np.ndarray
    box_areas: np.ndarray
    box_bounds: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int | slice) -> Union[dict, 'CocoSamples']:
        if isinstance(index, slice):
            return replace(self, rows=self.rows[index])
        row = self.rows[index].item()
        labels = slice(*self.label_bounds[row : row + 2].tolist())
        boxes = slice(*self.box_bounds[row : row + 2].tolist())
        return dict(
            img_path=osp.join(self.folder, self.file_names[row]),
            img_id=self.image_ids[row].item(),
            height=self.heights[row].item(),
            width=self.widths[row].item(),
            gt_label=self.labels[labels].copy(),
            instance_labels=self.box_labels[boxes].copy(),
            instance_areas=self.box_areas[boxes].copy(),
        )

    def __deepcopy__(self, memo: dict) -> 'CocoSamples':
        return self  # nothing here ever changes

    def take(self, indices: Sequence[int]) -> 'CocoSamples':
        """Return the samples at ``indices``, which may repeat or be negative."""
        return replace(self, rows=self.rows[np.array(indices, np.int64)])


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
