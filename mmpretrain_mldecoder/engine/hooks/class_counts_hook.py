"""Counts of the labels to train with, for losses with arguments that follow from them."""

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.runner import BaseLoop
from mmpretrain.registry import HOOKS

from ...errors import ConfigError
from ...fileio.terminal import listed, printable
from ..distributed import unwrapped


@HOOKS.register_module()
class ClassCountsHook(Hook):
    """Give a loss the class counts of the training data where its config says ``'auto'``.

    Counted are the images of ``train_dataloader.dataset`` that are known to have a class, and to
    lack it (:func:`.known_labels`); how often a sampler repeats them does not count. All ranks, and
    a resume, count the same. In a test, or where no loss asks, nothing is counted.

    ``PortableRunner`` adds this hook.
    """

    priority = 'HIGHEST'  # before the checks, which compute the loss, and before EMA copies it

    def before_run(self, runner) -> None:
        # Late, as these import MMPretrain's parts: the engine is there with MMEngine's runner.
        from ...datasets.known_labels import known_labels
        from ...models.losses import CountedLoss

        losses = [each for each in runner.model.modules() if isinstance(each, CountedLoss)]
        losses = [loss for loss in losses if loss.counted]
        if not losses or not isinstance(runner._train_loop, BaseLoop):  # built where it runs
            return
        model = unwrapped(runner.model)
        dataset = runner.train_dataloader.dataset
        names = (getattr(dataset, 'metainfo', None) or {}).get('classes')
        names = [*map(str, names or range(getattr(model.head, 'num_classes', 0)))]
        try:
            counts = known_labels(dataset).class_counts(len(names))
        except (TypeError, ValueError) as error:
            raise ConfigError(f'train_dataloader.dataset: {error}') from error
        for loss in losses:
            try:
                found = loss.set_class_counts(*map(torch.from_numpy, counts))
            except (ImportError, TypeError, ValueError) as error:
                raise ConfigError(f'model.head.loss: {error}') from error
            loss.to(next(model.parameters()).device)
            for key, values in found.items():
                runner.logger.info(
                    f'{type(loss).__name__}.{key} from the labels of {len(dataset)} images: '
                    + ' to '.join(
                        f'{values[index]:.4g} ({printable(names[index])})'
                        for index in (int(values.argmin()), int(values.argmax()))
                    )
                )
                without = [names[i] for i in np.flatnonzero(counts[0] == 0)]
                if without and key != 'class_counts' and 'max_weight' not in loss.counted[key]:
                    runner.logger.warning(
                        f'{len(without)} of {len(names)} classes have no image that is known to '
                        f'show them: {printable(listed(without, 10))}. Their {key} is that of a '
                        f'class with one image: limit it with model.head.loss.{key}.max_weight'
                    )
