"""Logs as plain data in checkpoints."""

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer
from mmengine.utils import apply_to
from mmpretrain.registry import HOOKS


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
