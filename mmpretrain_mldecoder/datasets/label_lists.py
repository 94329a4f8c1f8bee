"""The labels of all pictures of a split, and what is counted from them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class LabelLists:
    """Labels of N pictures, as two arrays.

    Attributes:
        labels (np.ndarray): int64, those of the first picture, of the second, and so on; each
            label once a picture.
        bounds (np.ndarray): ``(N + 1,)`` int64: those of picture ``i`` are
            ``labels[bounds[i]:bounds[i + 1]]``.
    """

    labels: np.ndarray
    bounds: np.ndarray

    @classmethod
    def of(cls, lists: Iterable[Sequence[int]]) -> 'LabelLists':
        """Store lists of labels."""
        unique = [np.unique(np.asarray(labels, np.int64)) for labels in lists]
        bounds = np.cumsum([0, *map(len, unique)])
        return cls(np.concatenate([np.zeros(0, np.int64), *unique]), bounds)

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def __getitem__(self, index: int) -> np.ndarray:
        return self.labels[self.bounds[index] : self.bounds[index + 1]]

    @property
    def per_picture(self) -> np.ndarray:
        """Number of labels of each picture, ``(N,)``."""
        return np.diff(self.bounds)

    def counts(self, num_classes: int) -> np.ndarray:
        """Number of pictures that have each label, ``(C,)``."""
        return np.bincount(self.labels, minlength=num_classes)

    def together(self, classes: Sequence[int]) -> np.ndarray:
        """Count the pictures that have both of two labels.

        Args:
            classes (Sequence[int]): K labels, each once.

        Returns:
            np.ndarray: ``(K, K)`` int64; on the diagonal the pictures that have the label.
        """
        position = np.full(max(classes, default=0) + 1, -1)
        position[list(classes)] = np.arange(len(classes))
        known = self.labels < len(position)
        columns = position[self.labels[known]]
        rows = np.repeat(np.arange(len(self)), self.per_picture)[known]
        # float32 counts exactly up to 2**24 pictures, and is multiplied by a fast library
        present = np.zeros((len(self), len(classes)), np.float32)
        present[rows[columns >= 0], columns[columns >= 0]] = 1
        return (present.T @ present).astype(np.int64)
