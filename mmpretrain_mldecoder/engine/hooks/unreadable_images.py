"""Images that cannot be read: told in the log of a training, and where a run ends with them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mmengine.hooks import Hook
from mmpretrain.registry import HOOKS
from torch.utils.data import DataLoader

from ...errors import RunError
from ...fileio.terminal import printable

if TYPE_CHECKING:
    from ...datasets.skip_unreadable import SkipUnreadableMixin

# The datasets import MMPretrain's, which are heavy: so they are imported when a run begins, and not
# with the engine, which is there as soon as anybody imports MMEngine's runner.


@HOOKS.register_module()
class UnreadableImagesHook(Hook):
    """Count unreadable images of a training in all its processes together, and log them.

    In validation and tests one of them ends the run.

    They are listed in ``unreadable_images.jsonl`` in the folder of the run's log; the training's
    datasets write it, see :class:`SkipUnreadableMixin`. So counting begins with each start, also
    with that of a resumed training. Processes on machines that do not share this folder count by
    themselves. ``PortableRunner`` adds this hook by itself.
    """

    def before_train(self, runner) -> None:
        self._file = Path(runner.log_dir, 'unreadable_images.jsonl')
        self._size = 0
        self._told: set[str] = set()
        for dataset in _skipping(runner.train_dataloader):
            dataset.unreadable.file = self._file

    def before_val(self, runner) -> None:
        for dataset in _skipping(runner.val_dataloader):
            dataset.skips_unreadable = False

    def before_test(self, runner) -> None:
        for dataset in _skipping(runner.test_dataloader):
            dataset.skips_unreadable = False

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        if runner.rank == 0:
            self._tell_new(runner)

    def after_train(self, runner) -> None:
        if runner.rank != 0:
            return
        self._tell_new(runner)
        if self._told:
            number = len(self._told)
            runner.logger.warning(
                f'{number} {"image" if number == 1 else "images"} could not be read, and '
                f'others were put in place: see {self._file}'
            )

    def _tell_new(self, runner) -> None:
        from ...datasets.skip_unreadable import read_unreadable

        try:
            size = self._file.stat().st_size
        except FileNotFoundError:
            return
        if size == self._size:
            return
        self._size = size
        for path, reason in read_unreadable(self._file).items():
            if path not in self._told:
                self._told.add(path)
                runner.logger.warning(
                    f'cannot read image {printable(path)}: {reason}; another one takes its place'
                )


def _skipping(loader: DataLoader) -> 'list[SkipUnreadableMixin]':
    from ...datasets.dataset_wrappers import inner_datasets
    from ...datasets.skip_unreadable import SkipUnreadableMixin

    return [
        each for each in inner_datasets(loader.dataset) if isinstance(each, SkipUnreadableMixin)
    ]


@contextmanager
def explained_unreadable() -> Iterator[None]:
    """Say what a user can do where a training or test ends with an unreadable image.

    Raises:
        RunError: In place of :class:`UnreadableImageError` and :class:`TooManyUnreadableError`.
    """
    from ...errors import TooManyUnreadableError, UnreadableImageError

    try:
        yield
    except TooManyUnreadableError as error:
        raise RunError(
            f'{error}. Get these files again, take them off the annotations, or allow more by '
            'train_dataloader.dataset.max_unreadable. tools/dataset_tools/browse.py finds all'
        ) from error
    except UnreadableImageError as error:
        raise RunError(
            f'{error}. Without it a score is not that of the data set: get the file again, or take '
            'it off the annotations. tools/dataset_tools/browse.py finds all such files'
        ) from error
