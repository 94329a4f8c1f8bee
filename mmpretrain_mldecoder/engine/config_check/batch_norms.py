"""Does a batch norm get enough pictures to take a mean over?"""

import copy
from functools import partial

from mmengine.dist import get_world_size
from mmpretrain.models import ImageClassifier
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import DataLoader

from .config_mistake import ConfigMistake


def check_batch_norms(model: ImageClassifier, loader: DataLoader, batch: dict) -> None:
    """Raise if batch norms are trained on single pictures.

    That is so with ``batch_size=1``; and torch refuses a batch norm on a map of one position if the
    last batch of an epoch holds one picture. Norms that do not train (``norm_eval``, frozen
    stages), and synchronised ones of several processes, are passed over.

    Args:
        model (ImageClassifier): In evaluation, without gradients.
        loader (DataLoader): Of the training.
        batch (dict): One picture.

    Raises:
        ConfigMistake: As said.
    """
    batch_size = loader.batch_size
    if batch_size is None or loader.sampler is None:
        return
    last = 0 if loader.drop_last else len(loader.sampler) % batch_size
    if batch_size != 1 and last != 1:
        return
    norms = _trained_norms(model)
    if not norms:
        return
    name = next(iter(norms))
    if batch_size == 1:
        raise ConfigMistake(
            f'train_dataloader.batch_size = 1: each of the {len(norms)} batch norms of the model '
            f'(first: {name}) would take its mean over one picture. Take 2 or more, or keep their '
            'statistics with model.backbone.norm_eval=True'
        )
    alone = _seeing_one_value(model, norms, batch)
    if alone:
        raise ConfigMistake(
            f'train_dataloader.batch_size = {batch_size}: the last batch of an epoch has 1 of the '
            f'{len(loader.sampler)} pictures, and {alone} gets one value a channel, which torch '
            'refuses. Take another size, or train_dataloader.drop_last=True'
        )


def _trained_norms(model: nn.Module) -> dict[str, _BatchNorm]:
    """Return the batch norms that a training step would let take a mean over its own batch."""
    modes = {module: module.training for module in model.modules()}
    try:
        model.train()
        return {
            name: module
            for name, module in model.named_modules()
            if isinstance(module, _BatchNorm) and module.training
            if not isinstance(module, nn.InstanceNorm2d)
            if not (isinstance(module, nn.SyncBatchNorm) and get_world_size() > 1)
        }
    finally:
        for module, mode in modes.items():
            module.training = mode


def _seeing_one_value(model: ImageClassifier, norms: dict, batch: dict) -> str | None:
    found = []

    def look(name, module, inputs):
        if inputs[0].numel() == module.num_features:
            found.append(name)

    handles = [m.register_forward_pre_hook(partial(look, name)) for name, m in norms.items()]
    try:
        inputs = model.data_preprocessor(copy.deepcopy(batch), False)['inputs']
        model(inputs, mode='tensor')
    finally:
        for handle in handles:
            handle.remove()
    return found[0] if found else None
