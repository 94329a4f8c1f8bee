"""timm's and torchvision's names: ResNets of both, TResNets of timm, with or without ML-Decoder."""

import re
from collections.abc import Collection, Mapping

from torch import Tensor

from .miil import rename_head

_PARAMETER = r'(?:weight|bias|running_mean|running_var)'
_TRESNET_MODULE = (
    r'(?:layer\d\.\d+\.)?(?:conv\d|downsample\.\d)\.(?:conv|bn)|layer\d\.\d+\.se\.fc[12]'
)
# Three convolutions and norms; their ReLUs have numbers too.
_DEEP_STEM = {
    'conv1.0': 'stem.0.conv',
    'conv1.1': 'stem.0.bn',
    'conv1.3': 'stem.1.conv',
    'conv1.4': 'stem.1.bn',
    'conv1.6': 'stem.2.conv',
    'bn1': 'stem.2.bn',
}


def family_of(names: Collection[str]) -> str | None:
    """Return whose names these are, ``'timm'`` or ``'torchvision'``, or None.

    A plain ResNet counts only with its classifier ``fc``: without, its names are also those of the
    host's ``ResNet`` alone. timm's plain ResNets have torchvision's names and count as such.
    """
    if 'body.conv1.conv.weight' in names:
        return 'timm'
    if 'layer1.0.conv1.weight' in names:
        if 'conv1.0.weight' in names:
            return 'timm'
        if 'conv1.weight' in names and any(name.startswith('fc.') for name in names):
            return 'torchvision'
    return None


def rename(state: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Give every name of the file what it becomes here: ``{their name: {our name: tensor}}``.

    ======================  ==========================================================
    theirs                  ours
    ======================  ==========================================================
    resnetNN                the host's ``ResNet``
    resnet50d, 101d, 152d   ``ResNetVd``, or the host's ``ResNetV1d``
    resnet18d, 34d          the host's ``ResNetV1d`` (``ResNetVd`` has one projection more)
    tresnet_*               the host's ``TIMMBackbone`` around the same model
    ``fc`` or ``head.fc``   ``head.fc``
    ML-Decoder there        ``head.decoder``
    ======================  ==========================================================

    Unknown names are left out. Names cannot tell what has no weights: activations, strides, blur.
    """
    is_tresnet = 'body.conv1.conv.weight' in state
    is_deep = 'conv1.0.weight' in state
    head = 'head.' if is_tresnet else 'fc.'
    renamed = {}
    for name, value in state.items():
        if name.startswith(head):
            ours = rename_head(name.removeprefix(head), value)
        elif is_tresnet:
            is_known = re.fullmatch(rf'body\.(?:{_TRESNET_MODULE})\.{_PARAMETER}', name)
            ours = {f'backbone.timm_model.{name}': value} if is_known else None
        else:
            module = _resnet_name(name, is_deep)
            ours = {f'backbone.{module}': value} if module else None
        if ours:
            renamed[name] = ours
    return renamed


def _resnet_name(name: str, is_deep: bool) -> str | None:
    module, _, parameter = name.rpartition('.')
    if is_deep and module.partition('.')[0] in ('conv1', 'bn1'):
        return f'{_DEEP_STEM[module]}.{parameter}' if module in _DEEP_STEM else None
    if re.fullmatch(rf'(conv1|bn1|layer\d\.\d+\.(conv|bn)[123])\.{_PARAMETER}', name):
        return name
    match = re.fullmatch(rf'(layer(\d)\.\d+\.downsample)\.([012])\.({_PARAMETER})', name)
    if match is None:
        return None
    module, stage, index, parameter = match.groups()
    if is_deep and stage == '1':
        # Nothing to pool in stage 1: timm puts an identity there, the host nothing.
        index = str(int(index) - 1)
    return f'{module}.{index}.{parameter}'
