"""Which checkpoint a result comes from."""

import hashlib
import os
from pathlib import Path

from ...weights.published import PUBLISHED, find_published


def checkpoint_identity(checkpoint: str | os.PathLike) -> dict:
    """Return the name of a checkpoint, and the SHA-256 of its file.

    Args:
        checkpoint (str | PathLike): A file, or an address as MMEngine takes it.

    Returns:
        dict: ``checkpoint``, the name without folders, or the address; ``sha256``, as
        ``sha256sum`` prints it. What an address holds is not known, but for the published names
        (``'miil://tresnet_m_coco_224'``): elsewhere ``sha256`` is None.
    """
    name = os.fspath(checkpoint)
    scheme, separator, _ = name.partition('://')
    if separator and scheme not in PUBLISHED:
        return dict(checkpoint=name, sha256=None)
    digest = hashlib.sha256()
    with open(find_published(name) if separator else name, 'rb') as file:
        while block := file.read(2**20):
            digest.update(block)
    return dict(checkpoint=name if separator else Path(name).name, sha256=digest.hexdigest())
