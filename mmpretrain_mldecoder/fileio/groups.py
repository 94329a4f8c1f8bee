"""Groups: of equal keys, of files with the same bytes, and of what pairs join."""

import hashlib
import os
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from contextlib import suppress

from .files import read_whole_file


def content_digest(content: bytes | memoryview) -> bytes:
    """Return 16 bytes that are equal for equal contents."""
    return hashlib.blake2b(content, digest_size=16).digest()


def equal_groups(keys: Sequence[Hashable]) -> list[list[int]]:
    """Return the indices of each two or more equal keys; None equals nothing."""
    groups = defaultdict(list)
    for index, key in enumerate(keys):
        groups[key].append(index)
    return [group for key, group in groups.items() if key is not None and len(group) > 1]


def equal_files(paths: Sequence[str | os.PathLike]) -> list[list[int]]:
    """Group the files with the same bytes, two or more; only those of equal size are read.

    An empty file, and one that cannot be read, is equal to none.
    """
    sizes: list[int | None] = [None] * len(paths)
    digests: list[bytes | None] = [None] * len(paths)
    for index, path in enumerate(paths):
        with suppress(OSError):
            sizes[index] = os.stat(path).st_size or None
    for index in (index for group in equal_groups(sizes) for index in group):
        with suppress(OSError):
            digests[index] = content_digest(read_whole_file(paths[index]))
    return equal_groups(digests)


def joined_groups(number: int, pairs: Iterable[tuple[int, int]]) -> list[int]:
    """Return the first member of the group of each of 0, 1, ..., where pairs are in one group."""
    parents = list(range(number))

    def first(index: int) -> int:
        while parents[index] != index:
            parents[index] = index = parents[parents[index]]
        return index

    for pair in pairs:
        low, high = sorted(map(first, pair))
        parents[high] = low
    return [*map(first, range(number))]
