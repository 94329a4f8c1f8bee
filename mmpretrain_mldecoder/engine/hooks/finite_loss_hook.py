"""The end of a training whose loss or weights are not finite."""

import json
import math
from functools import partial
from pathlib import Path

from mmengine.dist import all_gather_object
from mmengine.hooks import Hook
from mmpretrain.registry import HOOKS
from torch import Tensor

from ...errors import RunError
from ...fileio.atomic_write import write_file
from ..distributed import RankVote, on_main_process
from ..optimizers import SkippingMixin

# In the checkpoint's message hub, so that a resumed training continues to count.
_COUNT = 'skipped_steps'


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """End a training whose loss is NaN or infinite, on all ranks.

    The error names iteration, loss and a file in the work dir,
    ``nonfinite_loss_<time>_iter_<n>.json``, which lists the images of each rank's batch::

        {"iteration": 5, "epoch": 2, "batches": [
            {"rank": 0, "losses": {"loss": "nan"}, "images": ["train2017/1.jpg", ...]}]}

    With ``optim_wrapper.max_skips=N`` in the config, up to N steps of the whole training (resumed
    parts together) are skipped instead; each is logged and has a file of its own. The training also
    ends instead of saving a checkpoint of weights that are not finite.

    ``PortableRunner`` adds this hook, whose ``vote`` all ranks take once a step. MMEngine's log
    reads the loss in each step anyway, so no GPU waits for this hook.
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
        is_finite = all(map(math.isfinite, losses.values()))
        # What was skipped is the same on all ranks.
        if not (wrapper.skipped if can_skip else self._vote.any(not is_finite)):
            return
        what, file = _write_report(runner, losses, data_batch)
        if not can_skip:
            raise RunError(
                f'{what}. No checkpoint was saved of these weights; {file} lists the images of the '
                'batch. Check them and the learning rate, then continue with --resume; '
                'optim_wrapper.max_skips=N skips up to N such steps'
            )
        count = runner.message_hub.runtime_info.get(_COUNT, 0) + 1
        runner.message_hub.update_info(_COUNT, count)
        if count > wrapper.max_skips:
            raise RunError(
                f'{what}, for the {count}. time: optim_wrapper.max_skips is {wrapper.max_skips}. '
                f'{file} lists the images of the batch; those of the earlier steps are beside it'
            )
        runner.logger.warning(
            f'{what}: the step is skipped, {count} of at most {wrapper.max_skips}. {file} lists '
            'the images of the batch'
        )

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        parameters = {name.removeprefix('module.') for name, _ in runner.model.named_parameters()}
        for part in ('state_dict', 'ema_state_dict'):
            for name, value in checkpoint.get(part, {}).items():
                is_parameter = name.removeprefix('module.') in parameters
                if _is_broken(value, is_parameter):
                    raise RunError(
                        f'{name} is not finite after iteration {runner.iter}, so no checkpoint is '
                        'saved. Resume from the one before with a lower learning rate or clipped '
                        'gradients (optim_wrapper.clip_grad)'
                    )


def _write_report(runner, losses: dict[str, float], data_batch) -> tuple[str, Path]:
    """Write the batch of each rank to a file; return what happened, and the file."""
    losses = {n: v if math.isfinite(v) else str(v) for n, v in losses.items()}  # no NaN in JSON
    batches = all_gather_object(dict(rank=runner.rank, losses=losses, images=_images(data_batch)))
    iteration, epoch = runner.iter + 1, runner.epoch + 1
    file = Path(runner.work_dir, f'nonfinite_loss_{runner.timestamp}_iter_{iteration}.json')
    content = dict(iteration=iteration, epoch=epoch, batches=batches)
    # No rank ends, and makes the launcher end the others, before the file is there.
    on_main_process(partial(write_file, file, json.dumps(content, indent=1)))
    rank, name, value = next(
        (batch['rank'], name, value)
        for batch in batches
        for name, value in batch['losses'].items()
        if isinstance(value, str)
    )
    where = f' in process {rank} of {len(batches)}' if len(batches) > 1 else ''
    return f'{name} is {value} at iteration {iteration} (epoch {epoch}){where}', file


def _images(data_batch) -> list[str]:
    """Return the path of each image of a batch, or its index in the dataset."""
    samples = data_batch.get('data_samples') if isinstance(data_batch, dict) else None
    return [str(s.get('img_path', s.get('sample_idx', 'unknown'))) for s in samples or []]


def _is_broken(value, is_parameter: bool) -> bool:
    if not isinstance(value, Tensor) or not value.is_floating_point():
        return False
    # A buffer may hold infinities on purpose, as masks of attention do.
    return not value.isfinite().all() if is_parameter else bool(value.isnan().any())
