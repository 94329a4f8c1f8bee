"""Downloads of checkpoints: once per machine, complete or not at all."""

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urldefrag, urlparse
from urllib.request import Request, urlopen

import torch
from mmengine import dist
from rich.console import Console
from rich.progress import DownloadColumn, Progress, TransferSpeedColumn

from ..fileio.atomic_write import atomic_write
from ..version import __version__

_CHUNK = 1 << 20  # bytes
_TIMEOUT = 60  # seconds without an answer


def download_folder() -> Path:
    """Return where torch keeps downloads; the environment variable ``TORCH_HOME`` moves it."""
    return Path(torch.hub.get_dir(), 'checkpoints')


def find_or_download(find: Callable[[], Path | None], url: str, path: Path, hint: str = '') -> Path:
    """Return the file that ``find`` finds, also at ``path``; download it there if it finds None.

    In a distributed run all ranks must call this. The first one of each machine (``LOCAL_RANK`` 0)
    downloads while the others wait; if it fails, they fail too. Address, hint and errors are those
    of :func:`download`.
    """
    try:
        found = find()
        is_first = not dist.is_distributed() or os.environ.get('LOCAL_RANK', '0') == '0'
        if found is None and is_first:
            download(url, path, hint)
    finally:
        dist.barrier()
    found = found or find()
    if found is None:
        raise ConnectionError(
            f'{url} is not there: the process that downloads for this machine (LOCAL_RANK 0) '
            'failed, and its error says why.'
        )
    return found


def download_once(url: str) -> Path:
    """Return the file of an address, downloaded the first time.

    It is kept under its own name in :func:`download_folder`, where torch.hub and users look. That
    name belongs to the first address that asks for it; the file of another address (another query,
    too) goes to a folder of its own below.

    Raises ``ValueError`` if the address ends in no name of a file, and what :func:`download` does.
    """
    url = urldefrag(url).url
    name = Path(urlparse(url).path).name
    if name in ('', '..'):
        raise ValueError(f'{url} does not end in the name of a file')
    path = download_folder() / name
    if not _claim(path, url):
        path = path.with_name(hashlib.sha256(url.encode()).hexdigest()[:16]) / name
    return find_or_download(lambda: path if path.is_file() else None, url, path)


def _claim(path: Path, url: str) -> bool:
    """Whether a name among the downloads is that of an address, which it becomes if it is free.

    It is noted beside the folder, which torch's other users list.
    """
    note = path.parent.with_name('addresses') / path.name
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        with note.open('x', encoding='utf-8') as file:  # of two processes one makes it
            file.write(url)
    except OSError:  # noted already, or nothing can be written: such a folder was filled before
        return not note.is_file() or note.read_text('utf-8', errors='replace') == url
    return True


def download(url: str, path: Path, hint: str = '') -> None:
    """Download a file, ``http`` or ``https``, with a progress bar on stderr.

    Its folder is made, its length compared with the one that the server announced; a failure leaves
    nothing behind. ``hint`` is the last sentence of an error, by default the advice to put the file
    at ``path``.

    Raises ``ConnectionError`` if the server cannot be reached, refuses, answers with a web page, or
    sends less than it announced; ``OSError`` if the file cannot be written.
    """
    hint = hint or f'Get the file elsewhere and put it at {path}'
    columns = (*Progress.get_default_columns(), DownloadColumn(), TransferSpeedColumn())
    progress = Progress(*columns, console=Console(stderr=True))
    request = Request(url, headers={'User-Agent': f'mmpretrain_mldecoder/{__version__}'})
    try:
        with _network_errors():
            response = urlopen(request, timeout=_TIMEOUT)
        with response, atomic_write(path) as temporary, temporary.open('wb') as file, progress:
            if response.headers.get_content_type() == 'text/html':
                raise ConnectionError('the server answers with a web page instead of the file')
            expected = response.length
            task = progress.add_task(path.name, total=expected)
            while chunk := _next_chunk(response):
                file.write(chunk)
                progress.advance(task, len(chunk))
            if expected not in (None, file.tell()):
                raise ConnectionError(f'only {file.tell()} of {expected} bytes came')
    except ConnectionError as error:
        raise ConnectionError(f'{url} cannot be downloaded: {error}. {hint}') from error
    except OSError as error:
        raise OSError(
            error.errno,
            f'{url} cannot be written to {path}: {error.strerror}. Make room or make it writable, '
            f'or set TORCH_HOME to another folder. {hint}',
        ) from error


def _next_chunk(response: HTTPResponse) -> bytes:
    with _network_errors():
        return response.read(_CHUNK)


@contextmanager
def _network_errors() -> Iterator[None]:
    """Raise ``ConnectionError`` for all of them, which are ``OSError`` as those of the disk are."""
    try:
        yield
    except HTTPError as error:
        raise ConnectionError(f'the server answers {error.code} {error.reason}') from error
    except (HTTPException, OSError) as error:
        reason = getattr(error, 'reason', error)  # of a URLError
        raise ConnectionError(f'{type(reason).__name__} {reason}') from error
