"""The ``Pretrained`` initializer: strict, whatever the file."""

import logging
from collections.abc import Mapping
from dataclasses import replace

from mmengine.logging import print_log
from mmengine.model import PretrainedInit as MMEnginePretrainedInit
from mmengine.model.weight_init import update_init_info
from mmengine.registry import WEIGHT_INITIALIZERS
from mmengine.runner import CheckpointLoader
from torch import nn

from ..errors import WeightsMismatchError
from .fit import (
    OTHER_NETWORK,
    Mismatch,
    below,
    drop_surplus_outputs,
    fresh_norms,
    is_converted,
    is_one_of_its_blocks,
    listed,
    load_fitting,
    needed_names,
)


@WEIGHT_INITIALIZERS.register_module(name='Pretrained', force=True)
class PretrainedInit(MMEnginePretrainedInit):
    """Fill a module with a checkpoint, all of it.

    It replaces MMEngine's, which loads what fits and only logs the rest, in every config of the
    process. ``init_cfg=dict(type=<class PretrainedInit of MMEngine>)``, the class instead of its
    name, bypasses this.

    The names may stand behind any prefix (``backbone.``, ``model.``, ``encoder_q.``): that below
    which most of the module's own are found is taken off. Every parameter and running statistic of
    the module must then be there in its shape, but for norms after its blocks, and nothing may be
    left over in blocks that it has. Weights of parts that it has not (``fc`` of a backbone) are not
    used. One line of the log counts them.

    Args:
        checkpoint (str): File, address or published name; ``file.pth#name`` for one of its sets of
            weights, or those whose names begin so.
        prefix (str, optional): Take the names below it. Defaults to None, as described.
        map_location (str): As in ``torch.load``. Defaults to ``'cpu'``.
        strict (bool): Whether what is not loaded is an error. With False the rest stays as it is
            initialised, and a warning lists it. Defaults to True.

    Raises:
        WeightsMismatchError: If the weights do not fit; it lists what does not.
    """

    def __init__(
        self,
        checkpoint: str,
        prefix: str | None = None,
        map_location: str = 'cpu',
        strict: bool = True,
    ):
        super().__init__(checkpoint, prefix, map_location)
        self.strict = strict

    def __call__(self, module: nn.Module) -> None:
        checkpoint = CheckpointLoader.load_checkpoint(
            self.checkpoint, self.map_location, logger='silent'
        )
        weights = self._weights_for(module, checkpoint)
        if is_one_of_its_blocks(module, weights):
            return  # the host's RepVGG gives its init_cfg to its blocks, and is filled after them
        loaded = load_fitting(module, weights, self.checkpoint)
        if loaded.fails and self.prefix is None and 'original' in checkpoint:
            # timm's names are also those of TIMMBackbone.
            again = load_fitting(module, checkpoint['original'], self.checkpoint)
            loaded = again if not again.fails else load_fitting(module, weights, self.checkpoint)
        norms = fresh_norms(module, loaded.mismatch.missing)
        missing = tuple(name for name in loaded.mismatch.missing if name not in norms)
        mismatch = replace(loaded.mismatch, missing=missing)
        if self.strict and str(mismatch):
            raise WeightsMismatchError(
                f'{self.checkpoint} does not fit the {type(module).__name__}: {mismatch}. '
                f'{OTHER_NETWORK}, or load what fits and leave the rest random: '
                'strict=False in init_cfg'
            )
        self._log(module, loaded.prefix, mismatch, len(norms))
        if hasattr(module, '_params_init_info'):
            update_init_info(module, init_info=self._get_init_info())

    def _log(self, module: nn.Module, prefix: str, mismatch: Mismatch, num_norms: int) -> None:
        network, needed = type(module).__name__, len(needed_names(module))
        loaded = needed - len(mismatch.missing) - len(mismatch.misshaped) - num_norms
        line = f'{loaded} of {needed} weights of the {network}'
        if loaded == needed:
            line = f'{loaded} weights, all of the {network},'
        line += f' loaded from: {self.checkpoint}' + (f', below {prefix}' if prefix else '')
        if num_norms:
            line += f'; {num_norms} of its last norms are not in the file and start as identity'
        if str(mismatch):
            line += f'; not loaded: {mismatch}'
        unused = [n for n in mismatch.foreign if not n.endswith('num_batches_tracked')]
        if unused:
            line += f'; {len(unused)} weights of the file are not used ({listed(unused)})'
        # One layer is the classifier of the network.
        is_normal = not str(mismatch) and len({name.rpartition('.')[0] for name in unused}) < 2
        print_log(line, 'current', logging.INFO if is_normal else logging.WARNING)

    def _weights_for(self, module: nn.Module, checkpoint: Mapping) -> Mapping:
        state_dict = checkpoint.get('state_dict', checkpoint)
        is_whole = hasattr(module, 'backbone')
        if is_whole and self.prefix is None:
            return drop_surplus_outputs(module, state_dict)
        prefix = self.prefix or ('backbone' if is_converted(checkpoint) else '')
        if not prefix:
            return state_dict
        prefix = prefix.rstrip('.') + '.'
        weights = below(state_dict, prefix)
        if not weights:
            parts = sorted({name.partition('.')[0] for name in state_dict})
            raise WeightsMismatchError(
                f'{self.checkpoint} has nothing below {prefix} (prefix of init_cfg), but '
                f'{listed(parts)}'
            )
        return weights
