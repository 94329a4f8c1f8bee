"""The samples of a COCO dataset, in arrays that dataloader workers share.

What forked workers share with their parent stays shared until somebody writes to it, and Python
writes to an object (its reference count) by reading it. These are few objects however many images
there are, so that a worker copies next to nothing.
"""

import os.path as osp
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Union

import numpy as np


class PackedStrings(Sequence[str]):
    """A read-only sequence of strings, kept as one UTF-8 text and the positions where each ends.

    A list, with an object per string, takes three times the memory.
    """

    def __init__(self, strings: Iterable[str]):
        encoded = list(map(str.encode, strings))
        self._utf8 = b''.join(encoded)
        self._bounds = np.zeros(len(encoded) + 1, np.int64)
        np.cumsum(list(map(len, encoded)), out=self._bounds[1:])

    def __len__(self) -> int:
        return len(self._bounds) - 1

    def __getitem__(self, index: int) -> str:
        index = range(len(self))[index]
        start, end = self._bounds[index : index + 2].tolist()
        return self._utf8[start:end].decode()

    def __iter__(self) -> Iterator[str]:
        return (self._utf8[start:end].decode() for start, end in pairwise(self._bounds.tolist()))


@dataclass(frozen=True, eq=False)
class CocoSamples(Sequence[dict]):
    """A read-only sequence of one dict per image, made when asked for.

    A dict is the caller's own: changing it, its arrays included, changes nothing here. A slice
    and :meth:`take` give samples that share the arrays. The labels of image ``i`` are
    ``labels[label_bounds[i]:label_bounds[i + 1]]``, and so on for boxes.
    """

    num_classes: int
    rows: np.ndarray  # which of the N images are samples, in order
    folder: str
    file_names: PackedStrings  # N paths relative to the folder
    image_ids: np.ndarray  # (N,) int64, or str objects
    heights: np.ndarray  # (N,) int64, pixels; 0 where unknown, as in widths
    widths: np.ndarray  # (N,) int64, pixels
    labels: np.ndarray  # int64, those of the first image, of the second, ...
    label_bounds: np.ndarray  # (N + 1,) int64
    box_labels: np.ndarray  # int64
    box_areas: np.ndarray  # float32, square pixels; NaN where unknown
    box_bounds: np.ndarray  # (N + 1,) int64
    difficult_labels: np.ndarray  # int64, as labels
    difficult_bounds: np.ndarray  # (N + 1,) int64

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int | slice) -> Union[dict, 'CocoSamples']:
        if isinstance(index, slice):
            return replace(self, rows=self.rows[index])
        row = self.rows[index].item()
        labels = slice(*self.label_bounds[row : row + 2].tolist())
        boxes = slice(*self.box_bounds[row : row + 2].tolist())
        sample = dict(img_path=self._img_path(row), img_id=self.image_ids.item(row))
        height, width = self.heights[row].item(), self.widths[row].item()
        if height and width:
            sample |= dict(height=height, width=width)
        sample |= dict(
            gt_label=self.labels[labels].copy(),
            instance_labels=self.box_labels[boxes].copy(),
            instance_areas=self.box_areas[boxes].copy(),
        )
        if len(self.difficult_labels):
            doubtful = slice(*self.difficult_bounds[row : row + 2].tolist())
            score = np.zeros(self.num_classes, np.float32)
            score[self.difficult_labels[doubtful]] = -1
            score[sample['gt_label']] = 1
            sample |= dict(
                gt_score=score, gt_label_difficult=self.difficult_labels[doubtful].copy()
            )
        return sample

    def img_paths(self) -> Iterator[str]:
        """Yield the path of each image without its sample, which takes several times as long."""
        return map(self._img_path, self.rows.tolist())

    def _img_path(self, row: int) -> str:
        return osp.join(self.folder, self.file_names[row])

    def __deepcopy__(self, memo: dict) -> 'CocoSamples':
        return self  # nothing here ever changes

    def pairs(self, labels: np.ndarray, bounds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return sample and label of all ``labels`` between the ``bounds`` of the samples."""
        counts = np.diff(bounds)[self.rows]
        samples = np.repeat(np.arange(len(self.rows)), counts)
        # from a position in the result to one in `labels`
        shifts = bounds[self.rows] - (np.cumsum(counts) - counts)
        return samples, labels[np.arange(len(samples)) + shifts[samples]]

    def take(self, indices: Sequence[int]) -> 'CocoSamples':
        """Return the samples at ``indices``, which may repeat or be negative."""
        return replace(self, rows=self.rows[np.array(indices, np.int64)])


def distinct_labels(
    images: np.ndarray, labels: np.ndarray, num_images: int, num_classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return each label of each image once, ascending, and the bounds of the images."""
    # in a tenth of the time of np.unique
    pairs = np.sort(images * num_classes + labels)
    images, labels = np.divmod(pairs[np.diff(pairs, prepend=-1) > 0], num_classes)
    return labels, image_bounds(images, num_images)


def image_bounds(images: np.ndarray, num_images: int) -> np.ndarray:
    """Return ``(N + 1,)`` bounds: sorted records ``bounds[i]:bounds[i + 1]`` are of image ``i``."""
    return np.concatenate(([0], np.cumsum(np.bincount(images, minlength=num_images))))
