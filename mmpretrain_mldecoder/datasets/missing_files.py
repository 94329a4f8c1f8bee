"""Find out which files of a list are not there."""

import os
import os.path as osp
from collections.abc import Iterable


def missing_files(paths: Iterable[str]) -> list[str]:
    """Return the paths without a file, in their order, with one look at each folder."""
    present: dict[str, set[str]] = {}
    missing = []
    for path in paths:
        folder, name = osp.split(path)
        if folder not in present:
            is_there = osp.isdir(folder or '.')
            present[folder] = set(os.listdir(folder or '.')) if is_there else set()
        if name not in present[folder]:
            missing.append(path)
    return missing
