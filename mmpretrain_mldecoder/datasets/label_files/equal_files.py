"""Files with the same bytes."""

import hashlib
import os
from collections import defaultdict
from collections.abc import Sequence

from ...fileio.files import read_whole_file


def equal_files(paths: Sequence[str | os.PathLike]) -> list[list[int]]:
    """Group the files with the same bytes, two or more; only those of equal size are read.

    An empty file, and one that cannot be read, is equal to none.
    """
    sizes: dict[int, list[int]] = defaultdict(list)
    for index, path in enumerate(paths):
        try:
            sizes[os.stat(path).st_size].append(index)
        except OSError:
            continue
    groups: dict[bytes, list[int]] = defaultdict(list)
    for size, indices in sizes.items():
        for index in indices if size and len(indices) > 1 else ():
            try:
                content = read_whole_file(paths[index])
            except OSError:
                continue
            groups[hashlib.blake2b(content, digest_size=16).digest()].append(index)
    return [group for group in groups.values() if len(group) > 1]
