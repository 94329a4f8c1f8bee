"""The files of a folder to be copied, and the folders that a copy may not be written to."""

import os
from collections.abc import Iterator
from pathlib import Path


def refuse_nested(source: Path, target: Path) -> None:
    """Raise ``ValueError`` if one folder is the other or is inside it."""
    inner, outer = source.resolve(), target.resolve()
    if inner == outer:
        raise ValueError(f'{target} is the source itself: choose another folder for the copy')
    if inner.is_relative_to(outer) or outer.is_relative_to(inner):
        raise ValueError(
            f'{source} and {target} are one inside the other: choose a folder beside the source, '
            f'such as {source.with_name(source.name + "_resized")}'
        )


def refuse_links_outwards(target: Path, paths: list[str]) -> None:
    """Raise ``ValueError`` if a folder of the copy is a link that leads out of it.

    Args:
        target (Path): Root of the copy.
        paths (list[str]): Files to be written, by their path below it.
    """
    root = target.resolve()
    for folder in sorted({os.path.dirname(path) for path in paths}):
        if not (target / folder).resolve().is_relative_to(root):
            raise ValueError(
                f'{target / folder} leads out of {target}: remove that link; pictures are written '
                'below the target only'
            )


def files_below(
    folder: str, target: Path, prefix: str = '', above: tuple[str, ...] = ()
) -> Iterator[str]:
    """Yield the files below a folder by their path from there, sorted, '/' between folders.

    Links are followed. One to a folder around it would have no end and is passed over; one to
    nothing, or to itself, is yielded, so that somebody notices.

    Args:
        folder (str): Where to begin.
        target (Path): Resolved root of the copy; ``ValueError`` if a link leads there.
        prefix (str): Put before the paths, for the recursion. Defaults to ''.
        above (tuple[str]): Resolved folders around this one, for the recursion. Defaults to ().
    """
    above = (*above, os.path.realpath(folder))
    with os.scandir(folder) as entries:
        entries = sorted(entries, key=lambda entry: entry.name)
    for entry in entries:
        if os.path.isdir(entry.path):  # entry.is_dir() raises for a link to itself
            real = os.path.realpath(entry.path)
            if Path(real).is_relative_to(target):
                raise ValueError(f'{entry.path} is a link into the target {target}: remove it')
            if real not in above:
                yield from files_below(entry.path, target, f'{prefix}{entry.name}/', above)
        elif entry.is_symlink() or entry.is_file():
            yield prefix + entry.name
