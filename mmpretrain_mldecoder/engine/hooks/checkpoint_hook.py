"""Checkpoint saving: durable files, with logs as plain data."""

import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import torch
from mmengine.dist import is_main_process
from mmengine.fileio import LocalBackend
from mmengine.hooks import CheckpointHook, Hook
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.utils import apply_to
from mmpretrain.registry import HOOKS

from ...checkpoints.resume import name_last_checkpoint
from ...errors import RunError
from ...fileio.atomic_write import remove_stale_files
from ..distributed.agree import on_main_process

# In the message hub: the best checkpoints of before the last validation, which may still be there.
_FORMER_BEST = 'former_best_ckpts'
# There too: the names of the scores that the records are of.
_SCORES_OF = 'best_scores_of'


@HOOKS.register_module()
class DurableCheckpointHook(CheckpointHook):
    """MMEngine's ``CheckpointHook`` that writes the new file before it removes an old one.

    If the run is killed in the middle of a save, or the disk is full, the checkpoints of before
    are all there. So the folder needs room for one checkpoint more than ``max_keep_ckpts`` and the
    best. ``last_checkpoint`` is replaced in one step, after the file that it names is whole.

    What a killed run did not come to remove is removed when it is resumed: old checkpoints, the
    best one of before, and temporary files. Only files in the folder of the checkpoints are, so
    that resuming a copy of a run leaves the original as it is.

    The best score is never NaN: as with MMEngine's hook, NaN is not better than any other score.
    Where a resumed run has another ``save_best``, its record begins anew.

    ``PortableRunner`` takes this hook where a config has ``type='CheckpointHook'``. The arguments
    are those of ``CheckpointHook``.

    Raises:
        RunError: At the start of a training, if the folder cannot be written.
    """

    def before_train(self, runner) -> None:
        super().before_train(runner)
        is_local = isinstance(self.file_backend, LocalBackend)
        if is_local:
            on_main_process(partial(_check_writable, self.out_dir))
        if is_local and is_main_process():
            for folder in {str(self.out_dir), runner.work_dir}:
                for path in remove_stale_files(folder):
                    runner.logger.info(f'{path} is removed: the run that wrote it was killed.')
        info = runner.message_hub.runtime_info
        if 'last_ckpt' in info:
            # MMEngine forgets it, and with it to write the record of a best score into the file.
            self.last_ckpt = self._in_this_folder(info['last_ckpt'])
        if self.save_best is not None:
            best = {name: self._in_this_folder(path) for name, path in self._best.items() if path}
            self._best = {**self._best, **best}
            runner.message_hub.update_info_dict(best)
            self._remove_former_best(info.get(_FORMER_BEST, []))

    @property
    def _best(self) -> dict[str, str | None]:
        """Paths of the best checkpoints, by their names in the message hub."""
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
        if 'auto' in self.key_indicators:  # as the host does, a moment later
            self._init_rule(self.rules, [next(iter(metrics))])
        self._forget_other_scores(runner.message_hub)
        best = self._best
        former = [path for path in best.values() if path]
        runner.message_hub.update_info(_FORMER_BEST, former)
        self._best = dict.fromkeys(best)  # so that MMEngine removes none before it writes
        super()._save_best_checkpoint(runner, metrics)
        self._best = {name: path or best[name] for name, path in self._best.items()}
        self._remove_former_best(former)

    def _forget_other_scores(self, hub: MessageHub) -> None:
        """Begin anew where a resumed run has another ``save_best``: its record is of other scores.

        The best checkpoint of before is kept.
        """
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
            # Recorded is what is there once this file is: a run that is killed before it removes
            # the surplus removes it when it is resumed.
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
        for old in surplus:
            self._remove(self._in_this_folder(self.filename_tmpl.format(old)))
        if surplus:
            runner.message_hub.update_info('keep_ckpt_ids', self.keep_ckpt_ids)

    def _in_this_folder(self, path: str) -> str:
        return self.file_backend.join_path(self.out_dir, Path(path).name)

    def _remove(self, path: str) -> None:
        if not is_main_process():
            return
        if self.file_backend.isfile(path):
            self.file_backend.remove(path)
        elif self.file_backend.isdir(path):  # as other strategies save
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


@HOOKS.register_module()
class PlainHistoryHook(Hook):
    """Save the log histories as tensors, and make MMEngine's ``HistoryBuffer`` of them on resume.

    A pickled ``HistoryBuffer`` looks up its statistics with ``getattr``, which a weights-only load
    must not allow. With tensors in its place, and Python's numbers in that of numpy's (the best
    score), the checkpoint opens with plain ``torch.load``, without this package and without an
    allow-list. (MMEngine's own ``Runner`` also resumes it; it then starts the log histories anew
    and warns.)

    ``PortableRunner`` adds this hook by itself.
    """

    priority = 'VERY_LOW'

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        logs = apply_to(
            checkpoint['message_hub'], lambda x: isinstance(x, np.generic), lambda x: x.item()
        )
        for name, buffer in logs['log_scalars'].items():
            values, counts = buffer.data
            logs['log_scalars'][name] = dict(
                values=torch.from_numpy(values),
                counts=torch.from_numpy(counts),
                max_length=buffer.max_length,
            )
        checkpoint['message_hub'] = logs

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        scalars = checkpoint.get('message_hub', {}).get('log_scalars', {})
        for name, history in scalars.items():
            if isinstance(history, dict):
                scalars[name] = HistoryBuffer(
                    history['values'].cpu().numpy(),
                    history['counts'].cpu().numpy(),
                    history['max_length'],
                )
