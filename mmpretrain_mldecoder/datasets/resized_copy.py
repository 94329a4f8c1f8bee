"""Resized copies of datasets: images are squashed to a square once, not in every epoch."""

import errno
import json
import os
import shutil
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import cv2

from ..errors import UnreadableImageError
from ..fileio.atomic_write import atomic_write, remove_stale_files, write_file
from ..fileio.json_files import json_line
from ..fileio.terminal import one_line
from .image_files import may_never_end, missing_files
from .image_header import image_suffixes
from .image_search import is_metadata, list_kinds
from .parallel_map import parallel_map
from .transforms import LoadWholeImage, SquareResize

# Formats that OpenCV writes, without loss but for JPEG; images of other formats become PNGs, under
# their name, which annotations have.
_WRITTEN = dict(JPEG='.jpg', BMP='.bmp', PPM='.ppm', TIFF='.tif', WEBP='.webp')
ARCHIVE_SUFFIXES = ('.tar', '.tar.gz', '.tgz', '.zip')
SETTINGS_FILE = 'resized_copy.json'
FAILED_FILE = 'failed.jsonl'


@dataclass
class ResizedCopy:
    """What one call of :func:`make_resized_copy` did."""

    written: int = 0  # images
    present: int = 0  # images that were there already
    others: int = 0  # other files copied
    kinds: Counter[str] = field(default_factory=Counter)  # of the other files: number by suffix
    left_out: list[str] = field(default_factory=list)  # archives, not copied
    outside: list[str] = field(default_factory=list)  # files behind a link out of the dataset
    failed: list[dict[str, str]] = field(default_factory=list)  # path and error of unreadable files
    bytes_before: int = 0  # of the images written, in the source
    bytes_after: int = 0  # of their copies


def make_resized_copy(
    source: str | os.PathLike,
    target: str | os.PathLike,
    size: int,
    quality: int = 95,
    workers: int | None = None,
) -> ResizedCopy:
    """Copy a dataset with every image resized to ``size x size`` by ``SquareResize``.

    Folders and names stay, so that annotations and configs keep working; so do the heights,
    widths and areas in them, which are those of the originals.

    - Images are read as training reads them (colour, upright) and written under their name,
      without metadata: JPEG with full colour resolution (4:4:4), BMP, PNG, PPM, TIFF and WebP
      without loss; of other formats, such as GIF, the file is a PNG, which readers recognise by
      its content. Label maps come out blurred.
    - Other files are copied. Archives (``ARCHIVE_SUFFIXES``) are skipped, and what systems put
      beside images (``._1.jpg``, ``.DS_Store``).
    - Links to images and folders are followed, other links only inside ``source``: a dataset from
      elsewhere could have one to a key of its user, and the copy may be passed on.

    A file under its final name is complete, even if the call was killed. The next call continues:
    it writes the images that are missing, and the other files that are missing or older than
    their originals. An image that changed in the meantime is not noticed: delete its copy.

    ``target`` also gets ``resized_copy.json`` with size and quality and, if files could not be
    read, ``failed.jsonl``, which lists them.

    ``target`` is a new or empty folder, or an unfinished copy; ``size`` is in pixels, ``quality``
    that of JPEG, from 1 to 100, and ``workers`` as in :func:`parallel_map`.

    Raises:
        ValueError: If a number is out of its range, ``source`` holds no image, one folder is
            inside the other, or ``target`` holds something else or a copy with other settings.
        FileNotFoundError: If ``source`` is not a folder.
        OSError: If a file cannot be written, for lack of space perhaps.
    """
    for name, value, low, high in (('size', size, 1, 65500), ('quality', quality, 1, 100)):
        if not low <= value <= high:
            raise ValueError(f'{name} must be from {low} to {high}, but got {value}')
    source, target = Path(source), Path(target)
    if not source.is_dir():
        raise FileNotFoundError(f'no folder at {source}')
    _refuse_nested(source, target)
    settings = dict(size=size, quality=quality)
    _check_settings(target, settings)

    copy = ResizedCopy()
    images, others = _list_files(source, target, copy)
    missing = missing_files(target, images)
    copy.present = len(images) - len(missing)
    todo = [path for path in others if _is_stale(target / path, source / path)] + missing
    _refuse_links_outwards(target, todo)

    for folder in {(target / path).parent for path in (*images, *others)}:
        remove_stale_files(folder)  # of workers that were killed
    write_file(target / SETTINGS_FILE, json_line(settings))
    (target / FAILED_FILE).unlink(missing_ok=True)
    make = partial(_make_file, source=source, target=target, size=size, quality=quality)
    try:
        results = parallel_map(make, todo, f'{source} to {size} px', workers)
        for path, error in zip(todo, results, strict=True):
            if error:
                copy.failed.append(dict(path=path, error=error))
            elif _is_image(path):
                copy.written += 1
                copy.bytes_before += (source / path).stat().st_size
                copy.bytes_after += (target / path).stat().st_size
            else:
                copy.others += 1
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise OSError(
            error.errno,
            'no space left for the copy. Free some and call again: the files written are kept',
            str(target),
        ) from error
    if copy.failed:
        write_file(target / FAILED_FILE, b''.join(map(json_line, copy.failed)))
    return copy


def _refuse_nested(source: Path, target: Path) -> None:
    inner, outer = source.resolve(), target.resolve()
    if inner == outer:
        raise ValueError(f'{target} is the source itself: choose another folder for the copy')
    if inner.is_relative_to(outer) or outer.is_relative_to(inner):
        raise ValueError(
            f'{source} and {target} are one inside the other: choose a folder next to the source, '
            f'such as {source.with_name(source.name + "_resized")}'
        )


def _refuse_links_outwards(target: Path, paths: list[str]) -> None:
    root = target.resolve()
    for folder in sorted({os.path.dirname(path) for path in paths}):
        if not (target / folder).resolve().is_relative_to(root):
            raise ValueError(
                f'{target / folder} leads out of {target}: remove that link; images are written '
                'below the target only'
            )


def _check_settings(target: Path, settings: dict[str, int]) -> None:
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    path = target / SETTINGS_FILE
    if not path.is_file():
        raise ValueError(f'{target} is not empty and not a resized copy: choose another folder')
    try:
        old = json.loads(path.read_text('utf-8'))
    except (ValueError, RecursionError):
        old = 'damaged'
    if old != settings:
        raise ValueError(
            f'{target} holds a copy with other settings ({SETTINGS_FILE} is {old!s:.80}, not '
            f'{settings}): choose another folder, or delete {target}'
        )


def _list_files(source: Path, target: Path, copy: ResizedCopy) -> tuple[list[str], list[str]]:
    """Return the images and the other files to copy; add what is not copied to ``copy``."""
    images, others = [], []
    root = source.resolve()
    for path in _files_below(source, target.resolve()):
        if _is_image(path):
            images.append(path)
        elif path.lower().endswith(ARCHIVE_SUFFIXES):
            copy.left_out.append(path)
        elif not Path(os.path.realpath(source / path)).is_relative_to(root):
            copy.outside.append(path)
        elif path not in (SETTINGS_FILE, FAILED_FILE):  # those of a source that is such a copy
            others.append(path)
            copy.kinds[Path(path).suffix.lower() or 'without an ending'] += 1
    if not images:
        raise ValueError(f'{source} holds no image: {list_kinds(copy.kinds) or "it is empty"}')
    return images, others


def _files_below(source: Path, target: Path) -> list[str]:
    """Return the sorted paths of files below ``source``, through links and with those to nothing.

    A link to a folder around it would have no end and is skipped.
    """

    def refuse(error: OSError) -> None:
        raise error

    found = []
    for folder, folders, names in os.walk(source, onerror=refuse, followlinks=True):
        around = {parent.resolve() for parent in Path(folder, '_').parents}
        for name in list(folders):
            real = Path(folder, name).resolve()
            if real.is_relative_to(target):
                raise ValueError(f'{folder}/{name} is a link into the target {target}: remove it')
            if real in around or is_metadata(name):
                folders.remove(name)
        paths = [os.path.join(folder, name) for name in names if not is_metadata(name)]
        found += [path for path in paths if os.path.isfile(path) or os.path.islink(path)]
    start = len(os.path.join(source, ''))
    return sorted(path[start:].replace(os.sep, '/') for path in found)


def _is_image(path: str) -> bool:
    return Path(path).suffix.lower() in image_suffixes()


def _is_stale(copy: Path, source: Path) -> bool:
    """Whether a file is newer than its copy, has none, or is a link to nothing."""
    if not (source.exists() and copy.exists()):
        return True
    return source.stat().st_mtime > copy.stat().st_mtime


def _make_file(path: str, source: Path, target: Path, size: int, quality: int) -> str:
    """Write one file; return the error of reading it, '' if none."""
    original, encoded = source / path, None
    try:
        if _is_image(path):
            encoded = _resized(original, size, quality)
        elif may_never_end(original):  # behind a link
            return 'a device, a pipe or a socket, not a file'
        else:
            original.open('rb').close()
    except UnreadableImageError as error:
        return error.reason
    except Exception as error:  # of the resize, or of a file that is not an image
        return one_line(error)
    with atomic_write(target / path, sync=False) as temporary:  # a copy can be made again
        if encoded is None:
            shutil.copyfile(original, temporary)
        else:
            temporary.write_bytes(encoded)
    return ''


def _resized(path: Path, size: int, quality: int) -> bytes:
    results = SquareResize(size)(LoadWholeImage()(dict(img_path=str(path))))
    options = [cv2.IMWRITE_JPEG_QUALITY, quality]
    options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    suffix = _WRITTEN.get(image_suffixes()[path.suffix.lower()], '.png')
    return cv2.imencode(suffix, results['img'], options if suffix == '.jpg' else [])[1].tobytes()
