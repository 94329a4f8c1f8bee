"""Keep what was read of a large COCO JSON, so that the next start need not read it again.

An entry is a plain .npz of the arrays of :class:`CocoAnnotations`, with what identified the JSON
when it was read: path, size, times and inode. There is one for each path, in a folder of the
user's, since the folder of the data may be shared or read-only.
"""

import hashlib
import json
import logging
import os
import time
import zipfile
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

import numpy as np
from mmengine.logging import print_log

from ..fileio.atomic_write import atomic_write
from .coco_annotations import CocoAnnotations, PackedStrings, read_coco_annotations

# Any change of what is stored, of what it means or of what is refused needs another number.
_FORMAT = 2
# Smaller files are read in less time than anybody notices, and would litter the folder.
_SMALLEST_BYTES = 16_000_000
# File systems count time in steps of up to 2 s. A younger file may change once more without
# another time, so it is not kept.
_SETTLED_NANOSECONDS = 2_000_000_000


def cached_coco_annotations(path: str | Path) -> tuple[CocoAnnotations, Path | None]:
    """Read a COCO instances JSON, or what was kept of it if it has not changed since.

    ``MLDECODER_CACHE`` in the environment is the folder of the entries, or ``off``. By default it
    is ``mmpretrain_mldecoder/annotations`` below ``XDG_CACHE_HOME``, or else below ``~/.cache``.
    An entry that does not fit the file, or is damaged, is written anew; a folder that cannot be
    written to costs a warning. Files below 16 MB are always read.

    Args:
        path (str | Path): The JSON file.

    Returns:
        tuple[CocoAnnotations, Path | None]: What :func:`read_coco_annotations` gives, and the
        entry it comes from, None if the JSON was read.

    Raises:
        FileNotFoundError, ValueError: As :func:`read_coco_annotations`.
    """
    folder, identity = _cache_folder(), _identity(path)
    if folder is None or identity is None or identity['size'] < _SMALLEST_BYTES:
        return read_coco_annotations(path), None
    digest = hashlib.sha256(identity['path'].encode('utf-8', 'surrogateescape')).hexdigest()
    entry = folder / f'{Path(path).stem}-{digest[:16]}.npz'
    coco = _load(entry, identity)
    if coco is not None:
        return coco, entry
    coco = read_coco_annotations(path)
    is_settled = time.time_ns() - identity['changed'] > _SETTLED_NANOSECONDS
    if is_settled and _identity(path) == identity:
        _save(entry, identity, coco)
    return coco, None


def _cache_folder() -> Path | None:
    folder = os.environ.get('MLDECODER_CACHE')
    if folder == 'off':
        return None
    try:
        if folder:
            return Path(folder).expanduser()
        base = os.environ.get('XDG_CACHE_HOME', '')
        base = Path(base) if os.path.isabs(base) else Path('~/.cache').expanduser()
    except RuntimeError:  # there is no home
        return None
    return base / 'mmpretrain_mldecoder' / 'annotations'


def _identity(path: str | Path) -> dict | None:
    """Return what changes with the file; the change time is one that nobody can set back."""
    try:
        # a network file system may answer `stat` from memory, but asks the server on opening
        with open(path, 'rb') as file:
            stat = os.fstat(file.fileno())
    except OSError:
        return None
    return dict(
        format=_FORMAT,
        path=os.path.realpath(path),
        size=stat.st_size,
        modified=stat.st_mtime_ns,
        changed=stat.st_ctime_ns,
        inode=stat.st_ino,
    )


def _save(entry: Path, identity: dict, coco: CocoAnnotations) -> None:
    arrays = dict(identity=np.frombuffer(json.dumps(identity).encode(), np.uint8))
    for field in fields(CocoAnnotations):
        value = getattr(coco, field.name)
        if isinstance(value, np.ndarray):
            arrays[field.name] = value
        else:
            strings = PackedStrings.pack(value)
            arrays |= {f'{field.name}.utf8': strings.utf8, f'{field.name}.bounds': strings.bounds}
    try:
        with atomic_write(entry) as temporary, open(temporary, 'wb') as file:
            np.savez(file, **arrays)
    except OSError as error:
        print_log(
            f'What was read of {identity["path"]} cannot be kept in {entry.parent} ({error}): the '
            'next start will read it again. Set MLDECODER_CACHE to a folder that can be written '
            'to, or to off.',
            logger='current',
            level=logging.WARNING,
        )


def _load(entry: Path, identity: dict) -> CocoAnnotations | None:
    try:
        with np.load(entry, allow_pickle=False) as file:
            # stored, not compressed: then no array is larger than the file
            if any(info.compress_type != zipfile.ZIP_STORED for info in file.zip.infolist()):
                return None
            if json.loads(file['identity'].tobytes()) != identity:
                return None
            return _checked(file)
    # Nobody knows what a damaged file makes of its readers, and all of it means the same.
    except Exception as error:
        if not isinstance(error, FileNotFoundError):
            print_log(f'{entry} is not used: {error!r}', logger='current', level=logging.DEBUG)
        return None


def _checked(arrays: Mapping[str, np.ndarray]) -> CocoAnnotations:
    """Return the arrays of an entry; raise ValueError if they cannot be those of a COCO JSON."""

    def column(name: str, dtype: type, like: np.ndarray | None = None) -> np.ndarray:
        array = arrays[name]
        length = array.size if like is None else len(like)
        if array.dtype != dtype or array.shape != (length,):
            raise ValueError(f'{name} is {array.dtype} of shape {array.shape}')
        return array

    def strings(name: str, like: np.ndarray) -> PackedStrings:
        packed = PackedStrings(column(f'{name}.utf8', np.uint8), column(f'{name}.bounds', np.int64))
        if len(packed) != len(like):
            raise ValueError(f'{name} has {len(packed)} strings instead of {len(like)}')
        return packed

    def positions(name: str, of: np.ndarray) -> np.ndarray:
        array = column(name, np.int64, like=arrays['annotation_images'])
        if len(array) and not 0 <= array.min() <= array.max() < len(of):
            raise ValueError(f'{name} has {array.min()} to {array.max()} for {len(of)} records')
        return array

    image_ids = column('image_ids', np.int64)
    category_ids = column('category_ids', np.int64)
    annotation_images = positions('annotation_images', image_ids)
    return CocoAnnotations(
        image_ids=image_ids,
        file_names=strings('file_names', image_ids),
        heights=column('heights', np.int64, image_ids),
        widths=column('widths', np.int64, image_ids),
        category_ids=category_ids,
        category_names=tuple(strings('category_names', category_ids)),
        annotation_images=annotation_images,
        annotation_categories=positions('annotation_categories', category_ids),
        annotation_areas=column('annotation_areas', np.float64, annotation_images),
        annotation_is_crowd=column('annotation_is_crowd', np.bool_, annotation_images),
    )
