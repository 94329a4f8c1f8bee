"""Unreadable images: counted and logged in a training, an error elsewhere."""

from pathlib import Path

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmpretrain.registry import HOOKS
from torch.utils.data import DataLoader

from ...fileio.terminal import printable


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
