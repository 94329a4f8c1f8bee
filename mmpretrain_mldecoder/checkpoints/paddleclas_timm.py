"""PaddleClas' names of the networks that are timm's here: PP-LCNet, PP-HGNetV2, CLIP's ViT."""

import re
from collections.abc import Collection, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from .paddleclas import PARAMETERS, rename_head

# Names that only one of the networks has.
_SIGNS = {
    'lcnet': {'blocks2.0.dw_conv.conv.weight'},
    'hgnetv2': {'stages.0.blocks.0.aggregation_squeeze_conv.conv.weight'},
    'clip': {'ln_pre.weight', 'patch_embed.proj.weight'},
}
_MODULES = {
    'lcnet': {'conv1.conv': 'conv_stem', 'conv1.bn': 'bn1', 'last_conv': 'conv_head'},
    'hgnetv2': {'last_conv': 'head.last_conv.0', 'lab': 'head.last_conv.2'},
    'clip': {'ln_pre': 'norm_pre'},
}
_LCNET_BLOCK = {
    'dw_conv.conv': 'conv_dw',
    'dw_conv.bn': 'bn1',
    'se.conv1': 'se.conv_reduce',
    'se.conv2': 'se.conv_expand',
    'pw_conv.conv': 'conv_pw',
    'pw_conv.bn': 'bn2',
}
# PP-LCNet's dropout of 0.2 scales in inference instead of in training.
_LCNET_SCALE = 0.8
_GRID_AT_448 = (28, 28)


def family_of(names: Collection[str]) -> str | None:
    """Return ``'paddleclas'`` if these are the names of one of the three networks."""
    return 'paddleclas' if _network(names) else None


def rename(state: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Give every name of the file what it becomes here: ``{their name: {our name: tensor}}``.

    The networks become timm's ``lcnet_*``, ``hgnetv2_b*`` and ``vit_base_patch16_clip_224`` in
    ``TIMMBackbone``, an ML-Decoder ``head.decoder``. A classifier becomes nothing, as it follows
    layers after the pool. PaddleClas resizes CLIP's position embeddings in each forward pass; those
    of a network with ML-Decoder are stored for 448 px, at which it is published. Unknown names are
    left out.
    """
    network = _network(state)
    place = 'head.' if network == 'clip' else 'fc.'
    head = {f'fc.{n.removeprefix(place)}': n for n in state if n.startswith(place)}
    has_decoder = 'fc.query_pos_embed.weight' in head
    renamed: dict[str, dict[str, Tensor]] = {name: {} for name in head.values()}
    if has_decoder:
        decoder = rename_head({name: state[source] for name, source in head.items()})
        renamed = {head[name]: ours for name, ours in decoder.items()}
    for name, value in state.items():
        module, _, parameter = name.rpartition('.')
        if name == 'proj' and network == 'clip':  # of CLIP's image embedding, unused
            renamed[name] = {}
        elif name not in head.values() and (ours := _module(network, module)) is not None:
            parameter = PARAMETERS.get(parameter, parameter)
            ours = f'backbone.timm_model.{ours}{"." if ours else ""}{parameter}'
            # Linear weights are (in, out) there.
            renamed[name] = {ours: value.T if value.dim() == 2 else value}
    if network == 'lcnet':
        conv_head = renamed.get('last_conv.weight', {})
        for ours, value in [*conv_head.items()]:  # timm's has a bias
            conv_head[ours.replace('weight', 'bias')] = value.new_zeros(len(value))
        for ours, value in renamed.get('fc.input_proj.weight', {}).items():
            renamed['fc.input_proj.weight'][ours] = _LCNET_SCALE * value
    if network == 'clip' and has_decoder:
        for ours, value in renamed['pos_embed'].items():
            renamed['pos_embed'][ours] = _resized(value, _GRID_AT_448)
    return renamed


def _network(names: Collection[str]) -> str | None:
    return next((network for network, signs in _SIGNS.items() if signs <= {*names}), None)


def _module(network: str | None, module: str) -> str | None:
    """Return timm's name of a module, None if it is not known."""
    if network is None:
        return None
    if module in _MODULES[network]:
        return _MODULES[network][module]
    if network == 'lcnet':
        match = re.fullmatch(r'blocks([2-6])\.(\d+)\.(.+)', module)
        if match is None or match[3] not in _LCNET_BLOCK:
            return None
        stage, index = int(match[1]) - 2, int(match[2])
        if stage == 4:
            stage = 5
        elif stage == 3 and index > 1:  # timm has the last four of these in a stage of their own
            stage, index = 4, index - 2
        return f'blocks.{stage}.{index}.{_LCNET_BLOCK[match[3]]}'
    if network == 'hgnetv2':
        is_known = re.match(r'(stem|stages\.\d+)\.', module)
        aggregation = {'squeeze': 0, 'excitation': 1}
        for theirs, index in aggregation.items():
            module = module.replace(f'aggregation_{theirs}_conv', f'aggregation.{index}')
        return module if is_known else None
    return module if re.match(r'(patch_embed|blocks\.\d+)\.|norm$|$', module) else None


def _resized(positions: Tensor, grid: tuple[int, int]) -> Tensor:
    """Resize position embeddings ``(1, 1 + H * W, C)`` behind a class token, as PaddleClas does."""
    side = int((positions.shape[1] - 1) ** 0.5)
    patches = positions[:, 1:].transpose(1, 2).unflatten(2, (side, side))
    patches = F.interpolate(patches, grid, mode='bicubic', align_corners=False)
    return torch.cat([positions[:, :1], patches.flatten(2).transpose(1, 2)], 1)
