"""Search for the images in folders and globs, with a count of what is left out."""

import fnmatch
import glob
import os
import os.path as osp
from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from ..fileio.terminal import counted
from .image_header import image_suffixes, package_for

# What systems and programs put beside images.
_METADATA = ('thumbs.db', 'ehthumbs.db', 'desktop.ini', '__macosx', '@eadir', '$recycle.bin')
_METADATA += ('.ds_store', '.ipynb_checkpoints')
MAX_KINDS = 10


def find_images(folder: str | os.PathLike) -> tuple[list[str], Counter[str]]:
    """List the images in a folder and in those below it, and count what is left out, by kind.

    An image is a file with one of :func:`image_suffixes`, in either case. Links are followed, and
    each folder is searched once, by its own path if that is below ``folder`` too. What systems put
    beside images is not counted.

    Returns:
        tuple[list[str], Counter[str]]: Sorted paths; :func:`describe_left_out` formats the rest.
    """
    left_out: Counter[str] = Counter()
    return _images_among(_files_below(os.fspath(folder), left_out), left_out), left_out


def glob_images(pattern: str) -> tuple[list[str], Counter[str]]:
    """Do as :func:`find_images` with what a glob matches; ``**`` crosses folders."""
    left_out: Counter[str] = Counter()
    parts = pattern.split(os.sep)
    if '**' not in parts:
        return _images_among(glob.glob(pattern), left_out), left_out
    # Not by Python's glob, which follows a link to a folder around it again and again.
    at = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    root = os.sep.join([*parts[:at], '']) or osp.join(os.curdir, '')
    paths = {path[len(root) :]: path for path in _files_below(root, left_out)}
    names = (name for name in paths if _matches(name.split(os.sep), parts[at:]))
    matching = (paths[name] if at else name for name in names)
    return _images_among(matching, left_out), left_out


def left_out_of(folder: str | os.PathLike, images: Collection[str]) -> Counter[str]:
    """Count, by kind, the files in a folder and those below it that a dataset has not listed."""
    left_out: Counter[str] = Counter()
    others = [path for path in _files_below(os.fspath(folder), left_out) if path not in images]
    left_out.update(osp.splitext(path)[1].lower() for path in _images_among(others, left_out))
    return left_out


def _matches(names: list[str], parts: list[str]) -> bool:
    """Whether the names in a path are those of a glob."""
    if not names or not parts or parts == ['**']:
        return bool(names) == bool(parts)
    if parts[0] == '**':
        return _matches(names, parts[1:]) or _matches(names[1:], parts)
    return fnmatch.fnmatchcase(names[0], parts[0]) and _matches(names[1:], parts[1:])


def _files_below(folder: str, left_out: Counter[str]) -> Iterator[str]:
    for parent, names in folders_below(folder, left_out):
        yield from (osp.join(parent, name) for name in names)


def folders_below(folder: str, left_out: Counter[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield a folder and those below it, each once, with the names of their files.

    Links are followed, hidden folders and :func:`is_metadata` skipped; those that cannot be opened
    are counted in ``left_out``.
    """
    real = osp.realpath(folder)
    around = {os.fspath(parent) for parent in Path(real).parents}  # a link to one has no end
    searched, starts = set(), deque([folder])

    def count_closed(error: OSError) -> None:
        left_out['folder that cannot be opened'] += 1

    while starts:
        for parent, folders, names in os.walk(starts.popleft(), onerror=count_closed):
            real = osp.realpath(parent)
            if real in searched or real in around:
                folders.clear()
                continue
            searched.add(real)
            folders[:] = sorted(n for n in folders if not (is_metadata(n) or n.startswith('.')))
            paths = (osp.join(parent, name) for name in folders)
            starts += [path for path in paths if osp.islink(path)]  # after those that are here
            yield parent, names


def _images_among(paths: Iterable[str], left_out: Counter[str]) -> list[str]:
    images = []
    for path in paths:
        if kind := _kind_left_out(path):
            left_out[kind] += 1
        elif kind is None:
            images.append(path)
    return sorted(images)


def _kind_left_out(path: str) -> str | None:
    """Return what a file is that is left out, '' if nobody misses it; None if it is an image."""
    name = osp.basename(path)
    suffix = osp.splitext(name)[1].lower()
    if is_metadata(name) or (name.startswith('.') and suffix not in image_suffixes()):
        return ''
    if name.startswith('.'):
        return 'hidden'
    if osp.isdir(path):
        return 'folder'
    if suffix not in image_suffixes():
        return suffix or 'without an ending'
    return None if osp.isfile(path) else 'link to nothing or no file'


def is_metadata(name: str) -> bool:
    """Whether a file or folder is one that a system or a program puts beside images."""
    return name.startswith('._') or name.lower() in _METADATA


def describe_left_out(left_out: Counter[str]) -> str:
    """Return such as ``'4 files left out: 3 .txt, 1 .heic (needs pillow-heif)'``."""
    return f'{counted(left_out.total(), "file")} left out: {list_kinds(left_out)}'


def list_kinds(kinds: Counter[str]) -> str:
    """Return counts by kind, with the package that would read it: ``'1 .jxl (needs ...)'``."""
    listed = []
    for kind, number in kinds.most_common(MAX_KINDS):
        package = package_for(kind)
        listed.append(f'{number} {kind}' + (f' (needs {package})' if package else ''))
    if others := sum(kinds.values()) - sum(n for _, n in kinds.most_common(MAX_KINDS)):
        listed.append(counted(others, 'other'))
    return ', '.join(listed)
