"""``init_cfg=dict(type='Pretrained')`` that is strict with converted weights."""

import logging

from mmengine.logging import print_log
from mmengine.model import PretrainedInit as MMEnginePretrainedInit
from mmengine.model.weight_init import update_init_info
from mmengine.registry import WEIGHT_INITIALIZERS
from mmengine.runner import CheckpointLoader
from torch import nn

from .conversion import drop_surplus_outputs
from .fit import below, compare, listed


@WEIGHT_INITIALIZERS.register_module(name='Pretrained', force=True)
class PretrainedInit(MMEnginePretrainedInit):
    """Fill a module with a checkpoint, exactly if its names were converted.

    It is registered in the place of MMEngine's, which loads what fits and only logs the rest, so
    that a training would start with half of its backbone drawn at random. This one is for
    checkpoints with ``meta['converted']`` (see :mod:`.published` and :mod:`.plain_files`), in every
    config of the process; for all others MMEngine's runs unchanged. (It reads those a second time,
    as MMEngine's takes a name and not a checkpoint.) ``init_cfg=dict(type=<class PretrainedInit of
    MMEngine>)``, the class instead of its name, gets round the registry and this.

    Of a converted checkpoint, which has the names of a whole model, a module without a child
    ``backbone`` takes the names below ``backbone.``, any other module takes all. Every parameter
    and running statistic of the module must be there in its shape, and nothing may be left over in
    a child that the module has. What a whole child would take that it has not (``layer4`` of a
    backbone with ``num_stages=3``) is left out with a line in the log.

    Args:
        checkpoint (str): File, address or published name.
        prefix (str, optional): Take the names below it. Defaults to None, as described.
        map_location (str): As in ``torch.load``. Defaults to ``'cpu'``.

    Raises:
        ValueError: If converted weights do not fit; it lists what does not.
    """

    def __call__(self, module: nn.Module) -> None:
        checkpoint = CheckpointLoader.load_checkpoint(
            self.checkpoint, self.map_location, logger='silent'
        )
        if not is_converted(checkpoint):
            super().__call__(module)
            return
        part = self._part_of(module, checkpoint['state_dict'])
        misfit = compare(module, part)
        if misfit.missing or misfit.misshaped or misfit.left_over:
            raise ValueError(
                f'{self.checkpoint} does not fit the {type(module).__name__} that it should '
                f'initialize: {misfit}. Choose the type and depth of the network that the weights '
                'are of (ResNetVd for ResNet*_vd), other weights, or init_cfg=None'
            )
        if misfit.foreign:
            print_log(
                f'{self.checkpoint}: {len(misfit.foreign)} weights are left out, as the '
                f'{type(module).__name__} has no such part ({listed(misfit.foreign)})',
                logger='current',
                level=logging.WARNING,
            )
        kept = {name: value for name, value in part.items() if name not in misfit.foreign}
        module.load_state_dict(kept, strict=False)  # but for num_batches_tracked
        print_log(
            f'{len(kept)} weights, all of the {type(module).__name__}, loaded from: '
            f'{self.checkpoint}',
            logger='current',
        )
        if hasattr(module, '_params_init_info'):
            update_init_info(module, init_info=self._get_init_info())

    def _part_of(self, module: nn.Module, state_dict: dict) -> dict:
        if self.prefix is None and hasattr(module, 'backbone'):
            return fit_outputs(module, state_dict)
        prefix = (self.prefix or 'backbone').rstrip('.') + '.'
        part = below(state_dict, prefix)
        if not part:
            raise ValueError(
                f'{self.checkpoint} has nothing below {prefix} (prefix of init_cfg), but '
                f'{listed(sorted({name.partition(".")[0] for name in state_dict}))}'
            )
        return part


def is_converted(checkpoint: object) -> bool:
    """Whether a checkpoint holds published weights in our names."""
    meta = checkpoint.get('meta') if isinstance(checkpoint, dict) else None
    return isinstance(meta, dict) and 'converted' in meta


def fit_outputs(model: nn.Module, state_dict: dict) -> dict:
    """Cut PaddleClas' group layer to the classes of a whole model that has its groups."""
    layer = 'head.decoder.group_linear'
    fresh = model.state_dict()
    weight = state_dict.get(f'{layer}.weight')
    if weight is None or f'{layer}.weight' not in fresh:
        return state_dict
    if weight.shape != fresh[f'{layer}.weight'].shape:
        return state_dict
    return drop_surplus_outputs(state_dict, len(fresh[f'{layer}.bias']))
