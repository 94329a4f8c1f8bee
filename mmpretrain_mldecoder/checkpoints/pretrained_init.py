"""The ``Pretrained`` initializer: strict, whatever the file."""

import logging
from collections.abc import Mapping

from mmengine.logging import print_log
from mmengine.model import PretrainedInit as MMEnginePretrainedInit
from mmengine.model.weight_init import update_init_info
from mmengine.registry import WEIGHT_INITIALIZERS
from mmengine.runner import CheckpointLoader
from torch import nn

from ..errors import WeightsMismatchError
from ..fileio.terminal import listed
from . import fit
from .fit import Mismatch, below


@WEIGHT_INITIALIZERS.register_module(name='Pretrained', force=True)
class PretrainedInit(MMEnginePretrainedInit):
    """Fill a module with a checkpoint, all of it.

    It replaces MMEngine's, which loads what fits and only logs the rest, in every config of the
    process; ``init_cfg=dict(type=<class PretrainedInit of MMEngine>)``, the class instead of its
    name, bypasses this.

    The names may stand behind any prefix (``backbone.``, ``model.``, ``encoder_q.``): that below
    which most of the module's own are found is taken off. Every parameter and running statistic of
    the module must then be there in its shape, but for norms after its blocks, and nothing may be
    left over in blocks that it has: else a :class:`WeightsMismatchError` lists what does not fit.
    Weights of parts that it has not (``fc`` of a backbone) are not used. One line of the log counts
    them, and is a warning where ``timm://MODEL.TAG`` fits another network of timm, which can have
    the same shapes, but another padding or activation.

    Args:
        checkpoint (str): File, address or published name; ``file.pth#name`` for one of its sets of
            weights, or those whose names begin so.
        prefix (str, optional): Take the names below it. Defaults to None, as described.
        map_location (str): As in ``torch.load``. Defaults to ``'cpu'``.
        strict (bool): Whether what is not loaded is an error. With False the rest stays as it is
            initialised, and a warning lists it. Defaults to True.
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
        if self.prefix:
            checkpoint = self._below_prefix(checkpoint.get('state_dict', checkpoint))
        if fit.is_one_of_its_blocks(module, checkpoint.get('state_dict', checkpoint)):
            return  # the host's RepVGG gives its init_cfg to its blocks, and is filled after them
        loaded = fit.load_fitting(module, checkpoint, self.checkpoint)
        norms = fit.fresh_norms(module, loaded.mismatch.missing)
        mismatch = loaded.mismatch.without(norms.__contains__)
        if self.strict:
            fit.check_start(module, mismatch, self.checkpoint, 'strict=False in init_cfg')
        self._log(module, loaded.prefix, mismatch, len(norms))
        if hasattr(module, '_params_init_info'):
            update_init_info(module, init_info=self._get_init_info())

    def _log(self, module: nn.Module, prefix: str, mismatch: Mismatch, num_norms: int) -> None:
        network, needed = type(module).__name__, len(fit.needed_names(module))
        loaded = needed - len(mismatch.random) - num_norms
        line = f'{loaded} of {needed} weights of the {network}'
        if loaded == needed:
            line = f'{loaded} weights, all of the {network},'
        line += f' loaded from: {self.checkpoint}' + (f', below {prefix}' if prefix else '')
        if num_norms:
            line += f'; {num_norms} of its last norms are not in the file and start as identity'
        if mismatch:
            line += f'; not loaded: {mismatch}'
        unused = [name for name in mismatch.unused if name not in mismatch.left_over]
        if unused:
            line += f'; {len(unused)} weights of the file are not used ({listed(unused)})'
        if model_name := self._other_model(module):
            line += f'; they are those of another network: set model_name to {model_name!r}'
        # One layer is the classifier of the network.
        is_normal = not mismatch and len({name.rpartition('.')[0] for name in unused}) < 2
        is_normal &= not model_name
        print_log(line, 'current', logging.INFO if is_normal else logging.WARNING)

    def _other_model(self, module: nn.Module) -> str:
        """Return the model of a name in ``timm://`` where the module is another one of timm."""
        cfg = getattr(getattr(module, 'timm_model', None), 'pretrained_cfg', None) or {}
        scheme, _, name = self.checkpoint.partition('#')[0].partition('://')
        model_name = name.partition('.')[0]
        is_other = scheme == 'timm' and cfg.get('architecture', model_name) != model_name
        return model_name if is_other else ''

    def _below_prefix(self, state_dict: Mapping) -> Mapping:
        prefix = self.prefix.rstrip('.') + '.'
        weights = below(state_dict, prefix)
        if not weights:
            parts = sorted({name.partition('.')[0] for name in state_dict})
            raise WeightsMismatchError(
                f'{self.checkpoint} has nothing below {prefix} (prefix of init_cfg), but '
                f'{listed(parts)}'
            )
        return weights
