"""Checkpoint saving that survives a kill or a full disk."""

import re
import tempfile
from functools import partial
from pathlib import Path

from mmengine.dist import is_main_process
from mmengine.fileio import LocalBackend
from mmengine.hooks import CheckpointHook
from mmengine.logging import MessageHub
from mmpretrain.registry import HOOKS

from ...checkpoints.resume import name_last_checkpoint
from ...errors import RunError
from ...fileio.atomic_write import remove_stale_files
from ..distributed import on_main_process

# In the message hub: the best checkpoints before the last validation, and which scores they are of.
_FORMER_BEST, _SCORES_OF = 'former_best_ckpts', 'best_scores_of'


@HOOKS.register_module()
class DurableCheckpointHook(CheckpointHook):
    """``CheckpointHook`` that writes the new file before it removes an old one.

    If the run is killed in the middle of a save, or the disk is full, all earlier checkpoints are
    there. So the folder needs room for one checkpoint more than ``max_keep_ckpts`` and the best.
    ``last_checkpoint`` is replaced in one step, when the file that it names is complete.

    What a killed run left (old checkpoints, the former best, temporary files) is removed when it is
    resumed, in the folder of the checkpoints only: resuming a copy leaves the original as it is. A
    resumed run with another ``save_best`` forgets the record of the former.

    ``PortableRunner`` uses this hook for ``type='CheckpointHook'``; the arguments are the same. A
    folder that cannot be written is a :class:`RunError` at the start of a training.
    """

    def before_train(self, runner) -> None:
        super().before_train(runner)
        is_local = isinstance(self.file_backend, LocalBackend)
        if is_local:
            on_main_process(partial(_check_writable, self.out_dir))
        if is_local and is_main_process():
            for folder in {str(self.out_dir), runner.work_dir}:
                for path in remove_stale_files(folder):
                    runner.logger.info(f'Removed {path}: the run that wrote it was killed.')
        info = runner.message_hub.runtime_info
        if 'last_ckpt' in info:
            # MMEngine forgets it, and then does not write the record of a best score into it.
            self.last_ckpt = self._in_this_folder(info['last_ckpt'])
        if self.save_best is not None:
            best = {name: self._in_this_folder(path) for name, path in self._best.items() if path}
            self._best = {**self._best, **best}
            runner.message_hub.update_info_dict(best)
            self._remove_former_best(info.get(_FORMER_BEST, []))

    def after_val_epoch(self, runner, metrics: dict) -> None:
        if hasattr(self, 'file_backend'):  # set before a training; a validation alone saves nothing
            super().after_val_epoch(runner, metrics)

    @property
    def _best(self) -> dict[str, str | None]:
        """Paths of the best checkpoints by their names in the message hub."""
        if len(self.key_indicators) == 1:
            return dict(best_ckpt=self.best_ckpt_path)
        return {f'best_ckpt_{key}': path for key, path in self.best_ckpt_path_dict.items()}

    @_best.setter
    def _best(self, best: dict[str, str | None]) -> None:
        if len(self.key_indicators) == 1:
            self.best_ckpt_path = best['best_ckpt']
        else:
            self.best_ckpt_path_dict = {k.removeprefix('best_ckpt_'): p for k, p in best.items()}

    def _save_best_checkpoint(self, runner, metrics: dict) -> None:
        if not self.save_best:
            return
        if 'auto' in self.key_indicators:  # as MMEngine does, a moment later
            self._init_rule(self.rules, [next(iter(metrics))])
        self._forget_other_scores(runner.message_hub)
        best = self._best
        former = [path for path in best.values() if path]
        runner.message_hub.update_info(_FORMER_BEST, former)
        self._best = dict.fromkeys(best)  # so that MMEngine removes none before it writes
        # MMEngine skips a score that is None: one that this validation could not compute
        super()._save_best_checkpoint(runner, dict.fromkeys(self.key_indicators) | metrics)
        self._best = {name: path or best[name] for name, path in self._best.items()}
        self._remove_former_best(former)

    def _forget_other_scores(self, hub: MessageHub) -> None:
        """Forget the record of other scores if ``save_best`` has changed; keep its checkpoint."""
        before = hub.runtime_info.get(_SCORES_OF, self.key_indicators)
        if before != self.key_indicators:
            for name in self._best:
                hub.pop_info(name, None)
                hub.pop_info(name.replace('ckpt', 'score', 1), None)
            self._best = dict.fromkeys(self._best)
        hub.update_info(_SCORES_OF, list(self.key_indicators))

    def _remove_former_best(self, former: list[str]) -> None:
        best = {Path(path).name for path in self._best.values() if path}
        for path in map(self._in_this_folder, former):
            if Path(path).name not in best:
                self._remove(path)

    def _save_checkpoint_with_step(self, runner, step: int, meta: dict) -> None:
        surplus = []
        if self.max_keep_ckpts > 0:
            kept = [*self.keep_ckpt_ids, *([step] if step not in self.keep_ckpt_ids else [])]
            surplus, self.keep_ckpt_ids = kept[: -self.max_keep_ckpts], kept[-self.max_keep_ckpts :]
            # As of when this file is there: a run that is killed before it removes the surplus
            # removes it when it is resumed.
            runner.message_hub.update_info('keep_ckpt_ids', kept)
        name = self.filename_tmpl.format(step)
        self.last_ckpt = self.file_backend.join_path(self.out_dir, name)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        runner.save_checkpoint(
            self.out_dir,
            name,
            self.file_client_args,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=self.by_epoch,
            backend_args=self.backend_args,
            **self.args,
        )
        on_main_process(partial(name_last_checkpoint, runner.work_dir, self.last_ckpt))
        if self.save_optimizer and is_main_process():  # those of PreemptionHook are superseded
            for path in Path(runner.work_dir).glob('epoch_*_iter_*.pth'):
                if re.fullmatch(r'epoch_\d+_iter_\d+', path.stem):
                    path.unlink(missing_ok=True)
        for old in surplus:
            self._remove(self._in_this_folder(self.filename_tmpl.format(old)))
        if surplus:
            runner.message_hub.update_info('keep_ckpt_ids', self.keep_ckpt_ids)

    def _in_this_folder(self, path: str) -> str:
        return self.file_backend.join_path(self.out_dir, Path(path).name)

    def _remove(self, path: str) -> None:
        if is_main_process() and self.file_backend.isfile(path):
            self.file_backend.remove(path)
        elif is_main_process() and self.file_backend.isdir(path):  # as other strategies save
            self.file_backend.rmtree(path)


def _check_writable(folder: str) -> None:
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise RunError(
            f'{folder} cannot be written: {error.strerror}. Choose another folder for checkpoints '
            'with --work-dir, or with default_hooks.checkpoint.out_dir'
        ) from error
