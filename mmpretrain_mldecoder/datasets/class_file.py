"""Read the file of names that the ``classes`` of a dataset may be."""

from pathlib import Path


def read_class_file(path: str | Path) -> tuple[str, ...]:
    """Return the class names of a file with one a line.

    A UTF-8 byte order mark and empty lines at the end do not count: editors leave them behind.

    Args:
        path (str | Path): The file; ``~`` is the user's home.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not UTF-8, has no name, or has an empty line between names.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(
            f'{path} is not a file: `classes` is a list of names, or a file with one name a line.'
        )
    try:
        text = path.read_text(encoding='utf-8-sig')
    except UnicodeDecodeError as error:
        raise ValueError(
            f'{path} is not UTF-8 (byte {error.start}): write the class names with '
            "encoding='utf-8'."
        ) from error
    names = text.rstrip('\n').split('\n')
    if names == ['']:
        raise ValueError(f'{path} has no class names: write one a line.')
    if '' in names:
        line = names.index('') + 1
        raise ValueError(f'{path}: line {line} is empty: write one class name a line.')
    return tuple(names)
