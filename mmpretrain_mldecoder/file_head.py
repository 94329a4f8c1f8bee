"""Look at the beginning of a file before it is read, for the mistakes that downloads make."""

from pathlib import Path


def read_head(path: Path, what: str) -> bytes:
    """Return the first 256 bytes of a file that is there and no web page.

    Args:
        path (Path): A local file.
        what (str): What it should hold, for the errors: ``'checkpoint'``, ``'weights'``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is empty or a web page; it says what to do.
    """
    if not path.is_file():
        raise FileNotFoundError(f'no {what} at {path}' + (' (a folder)' if path.is_dir() else ''))
    with path.open('rb') as file:
        head = file.read(256)
    if not head.strip():
        raise ValueError(f'{path} is empty. Download or save it again.')
    if head.lstrip().lower().startswith((b'<!doctype', b'<html', b'<?xml')):
        raise ValueError(
            f'{path} is a web page, not {what}: the server answered with a page instead of the '
            'file. Delete it, and download the file by hand.'
        )
    return head
