"""A loss that is NaN or infinite ends the training before its weights are kept."""

import json
import math
from pathlib import Path

import torch
from mmengine.dist import all_gather_object, broadcast_object_list
from mmengine.hooks import Hook
from mmpretrain.registry import HOOKS
from torch import Tensor

from ...errors import RunError
from ...fileio.atomic_write import atomic_write
from ..distributed.agree import RankVote
from ..optimizers.skipping_optim_wrapper import SkippingMixin

# In the checkpoint's message hub, so that a resumed training goes on counting.
_COUNT = 'skipped_steps'


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """End a training whose loss is NaN or infinite, in all its processes.

    The error names iteration, loss and a file in the work folder,
    ``nonfinite_loss_<time>_iter_<n>.json``, which lists the images of the batch::

        {"iteration": 5, "epoch": 2, "batches": [
            {"rank": 0, "losses": {"loss": "nan"}, "images": ["train2017/1.jpg", ...]}]}

    It has one batch for each process, those whose loss is finite included. With
    ``optim_wrapper.max_skips=N`` in the config, up to N steps of the whole training (resumed parts
    together) are left out instead; each is logged and listed in a file of its own. The N+1st ends
    the training.

    A gradient may overflow where its loss did not. So no checkpoint is written of weights that are
    not finite either: the training ends there too.

    ``PortableRunner`` adds this hook by itself. The loss is on its way to the log in each step, so
    looking at it makes no GPU wait.

    Args:
        vote (RankVote, optional): By which the processes agree once a step; another hook may have a
            notice travel along. Defaults to one of its own.
    """

    priority = 'VERY_HIGH'

    def __init__(self, vote: RankVote | None = None):
        self._vote = vote or RankVote()

    def before_train(self, runner) -> None:
        if isinstance(runner.optim_wrapper, SkippingMixin):
            runner.optim_wrapper.vote = self._vote  # it asks before the weights move

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        losses = {n: v.item() for n, v in (outputs or {}).items() if 'loss' in n}
        wrapper = runner.optim_wrapper
        can_skip = isinstance(wrapper, SkippingMixin)
        if can_skip:
            is_bad = wrapper.skipped  # all processes know
        else:
            is_bad = self._vote.any(not all(map(math.isfinite, losses.values())))
        if not is_bad:
            return
        what, file = self._write_down(runner, losses, data_batch)
        if not can_skip:
            raise RunError(
                f'{what}. The training ends before a checkpoint of these weights; the images of '
                f'the batch are listed in {file}. Look at them and at the learning rate, then go '
                'on with --resume; optim_wrapper.max_skips=N leaves out up to N such steps'
            )
        count = runner.message_hub.runtime_info.get(_COUNT, 0) + 1
        runner.message_hub.update_info(_COUNT, count)
        if count > wrapper.max_skips:
            raise RunError(
                f'{what}, for the {count}. time: optim_wrapper.max_skips is {wrapper.max_skips}. '
                f'The images of the batch are listed in {file}, those of the steps before beside '
                'it'
            )
        runner.logger.warning(
            f'{what}: the step is left out, {count} of at most {wrapper.max_skips}. The images '
            f'of the batch are listed in {file}'
        )

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        parameters = {name.removeprefix('module.') for name, _ in runner.model.named_parameters()}
        for part in ('state_dict', 'ema_state_dict'):
            for name, value in checkpoint.get(part, {}).items():
                is_parameter = name.removeprefix('module.') in parameters
                if _is_broken(value, is_parameter):
                    raise RunError(
                        f'{name} is not finite after iteration {runner.iter}, so no checkpoint is '
                        'written of it. Go on from the one before with --resume and a lower '
                        'learning rate, or with clipped gradients (optim_wrapper.clip_grad)'
                    )

    def _write_down(self, runner, losses: dict[str, float], data_batch) -> tuple[str, Path]:
        """Write the batch of each process to a file; return what happened, and the file."""
        own = dict(
            rank=runner.rank,
            losses={
                name: value if math.isfinite(value) else str(value)  # JSON knows no NaN
                for name, value in losses.items()
            },
            images=_images(data_batch),
        )
        batches = all_gather_object(own)
        iteration, epoch = runner.iter + 1, runner.epoch + 1
        file = Path(runner.work_dir, f'nonfinite_loss_{runner.timestamp}_iter_{iteration}.json')
        if runner.rank == 0:
            content = dict(iteration=iteration, epoch=epoch, batches=batches)
            with atomic_write(file) as path:
                path.write_text(json.dumps(content, indent=1), encoding='utf-8')
        # No process ends, and makes the launcher end the others, before the file is there.
        broadcast_object_list([None])
        bad = next(b for b in batches if any(isinstance(v, str) for v in b['losses'].values()))
        name, value = next((n, v) for n, v in bad['losses'].items() if isinstance(v, str))
        where = f' in process {bad["rank"]} of {len(batches)}' if len(batches) > 1 else ''
        return f'{name} is {value} at iteration {iteration} (epoch {epoch}){where}', file


def _images(data_batch) -> list[str]:
    """Return the path of each image of a batch, else its place in the dataset."""
    samples = data_batch.get('data_samples') if isinstance(data_batch, dict) else None
    return [
        str(sample.get('img_path', sample.get('sample_idx', 'unknown'))) for sample in samples or []
    ]


def _is_broken(value, is_parameter: bool) -> bool:
    if not isinstance(value, Tensor) or not value.is_floating_point():
        return False
    # A buffer may hold infinities on purpose, as masks of attention do.
    return not torch.isfinite(value).all() if is_parameter else bool(torch.isnan(value).any())
