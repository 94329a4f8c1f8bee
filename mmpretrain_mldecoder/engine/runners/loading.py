"""Data loading that fails: lost workers, unreadable images, sockets that cannot be made."""

import os
import re
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmpretrain.registry import HOOKS
from torch import multiprocessing
from torch.utils.data import DataLoader, dataloader

from ...errors import ConfigError, RunError, TooManyUnreadableError, UnreadableImageError
from ...fileio.terminal import one_line, printable
from ..checks.config_error import several_sizes

# From reading of a process that has just gone, before torch has noticed.
_BROKEN = (ConnectionError, EOFError, FileNotFoundError)
# torch's two messages: from its signal handler, and from a look at the workers of a data loader.
_LOST = re.compile(r'DataLoader worker .*(killed by signal|exited unexpectedly)')
# What torch.stack says of images of several sizes.
_SIZES = re.compile(
    r'stack expects each tensor to be equal size, but got (\[.*?\]).* and (\[.*?\])'
)


@contextmanager
def explained_loading(key: str, loader: DataLoader | dict | None) -> Iterator[None]:
    """Raise :class:`RunError` with a fix for a lost worker and for images that end a run."""
    try:
        try:
            yield
        except _BROKEN:
            time.sleep(0.5)  # torch's signal handler may be about to say which worker it is
            raise
    except TooManyUnreadableError as error:
        raise RunError(
            f'{error}. Get these files again, remove them from the annotations, or allow more with '
            'train_dataloader.dataset.max_unreadable. tools/dataset_tools/browse.py finds all'
        ) from error
    except UnreadableImageError as error:
        raise RunError(
            f'{error}. Without it a score is not that of the dataset: get the file again, or '
            'remove it from the annotations. tools/dataset_tools/browse.py finds all such files'
        ) from error
    except (RuntimeError, *_BROKEN) as error:
        if found := _SIZES.search(str(error)):
            raise RunError(several_sizes(key, *found.groups())) from error
        if not _is_lost_worker(error):
            raise
        is_config = isinstance(loader, dict)
        now = loader.get('num_workers') if is_config else getattr(loader, 'num_workers', None)
        raise RunError(
            f'a worker process that loads the images is gone ({one_line(error)}). Most often the '
            'system killed it because memory ran out (its log says so: dmesg). Use fewer workers '
            f'({key}.num_workers is {now}) or give the job more memory. Continue a training with '
            '--resume'
        ) from error


def _is_lost_worker(error: Exception) -> bool:
    if not isinstance(error, _BROKEN):
        return bool(_LOST.search(str(error)))
    # Reading from the worker failed. What a worker itself raises comes another way.
    frames = traceback.extract_tb(error.__traceback__)
    is_read = any(f.filename == dataloader.__file__ and f.name == '_try_get_data' for f in frames)
    return is_read or 'in pin memory thread' in str(error)


# A path of a socket has 108 bytes on Linux, the last of them zero; on macOS 104.
_LONGEST = 103 if os.uname().sysname == 'Darwin' else 107
_BELOW = len('/pymp-xxxxxxxx/listener-xxxxxxxx')  # what multiprocessing makes in the folder


def check_worker_sockets() -> None:
    """Raise :class:`ConfigError` if the name of the temporary folder is too long for sockets.

    A worker that cannot make its Unix socket there loses the batch, and the training waits forever.
    """
    folder = tempfile.gettempdir()
    length = len(os.fsencode(folder))
    if multiprocessing.get_sharing_strategy() == 'file_descriptor' and length > _LONGEST - _BELOW:
        raise ConfigError(
            f'the temporary folder {folder} has a name of {length} bytes, but sockets of data '
            f'loader workers allow at most {_LONGEST - _BELOW}. Set TMPDIR to a shorter folder, '
            'such as /tmp, or num_workers to 0'
        )


@HOOKS.register_module()
class UnreadableImagesHook(Hook):
    """Count the unreadable images of a training on all ranks together, and log them.

    In validation and tests one of them ends the run.

    The training's datasets list them in ``unreadable_images.jsonl`` in the log folder of the run,
    see :class:`SkipUnreadableMixin`: each start, and each machine with a folder of its own, counts
    by itself. ``PortableRunner`` adds this hook.
    """

    def before_train(self, runner) -> None:
        self._file = Path(runner.log_dir, 'unreadable_images.jsonl')
        self._size = 0
        self._logged: set[str] = set()
        for dataset in _skipping(runner.train_dataloader):
            dataset.unreadable.file = self._file

    def before_val(self, runner) -> None:
        for dataset in _skipping(runner.val_dataloader):
            dataset.skips_unreadable = False

    def before_test(self, runner) -> None:
        for dataset in _skipping(runner.test_dataloader):
            dataset.skips_unreadable = False

    @master_only
    def after_train(self, runner) -> None:
        self.after_train_iter(runner)
        if self._logged:
            number = len(self._logged)
            runner.logger.warning(
                f'{number} {"image" if number == 1 else "images"} could not be read, and '
                f'others took their places: see {self._file}'
            )

    @master_only
    def after_train_iter(self, runner, *args, **kwargs) -> None:
        from ...datasets.skip_unreadable import read_unreadable

        size = self._file.stat().st_size if self._file.exists() else 0
        if size == self._size:
            return
        self._size = size
        for path, reason in read_unreadable(self._file).items():
            if path not in self._logged:
                self._logged.add(path)
                runner.logger.warning(
                    f'cannot read image {printable(path)}: {reason}; another one takes its place'
                )


def _skipping(loader: DataLoader) -> list:
    # They import MMPretrain's datasets, which takes long: only when a run begins.
    from ...datasets.dataset_wrappers import inner_datasets
    from ...datasets.skip_unreadable import SkipUnreadableMixin

    return [one for one in inner_datasets(loader.dataset) if isinstance(one, SkipUnreadableMixin)]
