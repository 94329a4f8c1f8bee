"""Which photos a report may show: those of the data set, whatever predictions name."""

import os
from collections.abc import Mapping, Sequence

from mmengine.config import Config


def photo_roots(cfg: Config) -> list[str]:
    """Return the folders of the test's pictures, without links in their paths.

    They are the data set's ``data_root`` and its ``data_prefix`` below that, so that a folder of
    pictures may be a link to another disk; the current folder if there is neither.
    """
    dataset = cfg.test_dataloader.dataset
    while 'data_root' not in dataset and isinstance(dataset.get('dataset'), Mapping):
        dataset = dataset['dataset']  # a wrapper
    root, prefix = dataset.get('data_root') or '', dataset.get('data_prefix') or ''
    prefixes = list(prefix.values()) if isinstance(prefix, Mapping) else [prefix]
    folders = [root, *(os.path.join(root, one or '') for one in prefixes)]
    return sorted({os.path.realpath(folder) for folder in folders if folder} or {os.getcwd()})


def is_inside(path: str, roots: Sequence[str]) -> bool:
    """Whether a file lies in one of the folders, after ``..`` and links; a wrong name does not."""
    try:
        real = os.path.realpath(path)
        return any(os.path.commonpath([real, root]) == root for root in roots)
    except ValueError:  # NUL in the name, or another drive
        return False
