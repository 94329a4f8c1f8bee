"""Many strings in two arrays."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import numpy as np


class PackedStrings(Sequence[str]):
    """A read-only sequence of N strings, kept as one text and the places where each ends.

    A list has an object for each string, which costs three times the memory and which each forked
    worker copies as soon as it looks at it. Arrays stay shared, and can be saved as they are.

    Args:
        utf8 (np.ndarray): uint8, all strings one after the other.
        bounds (np.ndarray): ``(N + 1,)`` int64: string ``i`` is ``utf8[bounds[i]:bounds[i + 1]]``.

    Raises:
        ValueError: If the text is not UTF-8, or is not cut into whole characters, without a gap.
    """

    def __init__(self, utf8: np.ndarray, bounds: np.ndarray):
        utf8.tobytes().decode()  # UnicodeDecodeError is a ValueError
        starts = bounds[bounds < len(utf8)]
        if (
            not np.array_equal(bounds[[0, -1]], [0, len(utf8)])
            or (np.diff(bounds) < 0).any()
            or (utf8[starts] & 0b1100_0000 == 0b1000_0000).any()  # bytes within a character
        ):
            raise ValueError(f'bounds do not cut {len(utf8)} bytes into whole characters')
        self.utf8 = utf8
        self.bounds = bounds

    @classmethod
    def pack(cls, strings: Iterable[str]) -> 'PackedStrings':
        """Return the strings in this form."""
        encoded = list(map(str.encode, strings))
        bounds = np.zeros(len(encoded) + 1, np.int64)
        np.cumsum(list(map(len, encoded)), out=bounds[1:])
        return cls(np.frombuffer(b''.join(encoded), np.uint8), bounds)

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def __getitem__(self, index: int) -> str:
        index = range(len(self))[index]
        return self.utf8[self.bounds[index] : self.bounds[index + 1]].tobytes().decode()

    def __iter__(self) -> Iterator[str]:
        text, bounds = self.utf8.tobytes(), self.bounds.tolist()
        return (text[start:end].decode() for start, end in pairwise(bounds))
