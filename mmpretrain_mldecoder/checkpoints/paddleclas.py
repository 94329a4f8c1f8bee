"""PaddleClas' names, alone or with its ML-Decoder head.

Of its ResNets ("vb" and "vd"), and of networks that are timm's here: PP-LCNet, PP-HGNetV2, CLIP's
ViT.
"""

import re
from collections.abc import Collection, Mapping

from torch import Tensor

from .miil import DECODER_LAYER

# Blocks of each stage, by the number of all blocks and whether they are bottlenecks.
_STAGES = {
    (8, False): (2, 2, 2, 2),
    (16, False): (3, 4, 6, 3),
    (16, True): (3, 4, 6, 3),
    (33, True): (3, 4, 23, 3),
    (50, True): (3, 8, 36, 3),
    (66, True): (3, 12, 48, 3),
}
_PARAMETERS = dict(weight='weight', bias='bias', _mean='running_mean', _variance='running_var')
_HEAD = {
    'fc': 'head.fc',
    'fc.input_proj': 'head.decoder.input_proj',
    'fc.group_conv': 'head.decoder.group_linear',
}
_DECODER_LAYER = DECODER_LAYER | {
    'cross_attn.q_proj': 'attention.query_proj',
    'cross_attn.k_proj': 'attention.key_proj',
    'cross_attn.v_proj': 'attention.value_proj',
    'cross_attn.out_proj': 'attention.out_proj',
}
# Names that only one of the networks has.
_SIGNS_OF_TIMM = {
    'lcnet': {'blocks2.0.dw_conv.conv.weight'},
    'hgnetv2': {'stages.0.blocks.0.aggregation_squeeze_conv.conv.weight'},
    'clip': {'ln_pre.weight', 'patch_embed.proj.weight'},
}
_TIMM_MODULES = {
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


def family_of(names: Collection[str]) -> str | None:
    """Return ``'paddleclas'`` if these are the names of one of its networks."""
    firsts = (
        {'stem.0.conv.weight', 'blocks.0.conv0.conv.weight'},
        {'Student.stem.0.conv.weight', 'Student.blocks.0.conv0.conv.weight'},
        {'conv1_1._conv.weight', 'bb_0_0.conv0._conv.weight'},
    )
    is_resnet = any(first <= {*names} for first in firsts)
    return 'paddleclas' if is_resnet or _timm_network(names) else None


def rename(state: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Give every name of the file what it becomes here: ``{their name: {our name: tensor}}``.

    "vb" becomes the host's ``ResNet``, "vd" becomes ``ResNetVd``; ``fc`` becomes ``head.fc`` or
    ``head.decoder``. Unknown names are left out. Of a distillation the student is taken, and the
    teacher becomes nothing. The "vd" names of PaddleClas 2.0 (``conv1_1._conv.weight``), of files
    outside of the folder ``legendary_models``, are known too. Of the networks of timm see
    :func:`_rename_timm`.

    PaddleClas' ``ResNet18`` and ``ResNet34`` (not ``_vd``) project the very first shortcut, which
    the host's ``ResNet`` does not: there ``backbone.layer1.0.downsample`` is left over.

    Raises ``ValueError`` if the number of blocks is that of no ResNet, or the head has
    self-attention.
    """
    if network := _timm_network(state):
        return _rename_timm(state, network)
    prefix = 'Student.' if 'Student.stem.0.conv.weight' in state else ''
    student = {name.removeprefix(prefix): name for name in state if name.startswith(prefix)}
    if 'conv1_1._conv.weight' in student:
        student = _names_of_today(student)
    modules = _backbone_modules(student)
    head = _rename_head({name: state[source] for name, source in student.items()})
    renamed: dict[str, dict[str, Tensor]] = {
        name: {} for name in state if prefix and name.startswith('Teacher.')
    }
    for name, source in student.items():
        module, _, parameter = name.rpartition('.')
        if name in head:
            renamed[source] = head[name]
        elif module in modules and parameter in _PARAMETERS:
            renamed[source] = {f'{modules[module]}.{_PARAMETERS[parameter]}': state[source]}
    return renamed


def _rename_head(state: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Rename what stands below ``fc``: a linear layer, or the ML-Decoder in its place.

    Unknown names, and those elsewhere, are left out. Raises ``ValueError`` for self-attention.
    """
    modules = _HEAD | _decoder_modules(state)
    queries = 'fc.query_pos_embed.weight'
    num_queries = len(state[queries]) if queries in state else 0
    renamed: dict[str, dict[str, Tensor]] = {}
    for name, value in state.items():
        module, _, parameter = name.rpartition('.')
        if name == queries:
            renamed[name] = {'head.decoder.queries': value}
        elif module in modules and parameter in _PARAMETERS:
            ours = f'{modules[module]}.{_PARAMETERS[parameter]}'
            renamed[name] = {ours: _value(name, value, num_queries)}
    return renamed


def _names_of_today(names: Mapping[str, str]) -> dict[str, str]:
    """Replace the keys, names of PaddleClas 2.0, by those of today."""
    matches = [re.match(r'bb_(\d+)_(\d+)\.', name) for name in names]
    blocks = sorted({(int(match[1]), int(match[2])) for match in matches if match})
    parts = {f'bb_{stage}_{i}': f'blocks.{number}' for number, (stage, i) in enumerate(blocks)}
    parts |= {f'conv1_{i + 1}': f'stem.{i}' for i in range(3)}
    parts |= {'_conv': 'conv', '_batch_norm': 'bn', 'out': 'fc'}
    return {
        '.'.join(parts.get(part, part) for part in name.split('.')): source
        for name, source in names.items()
    }


def _backbone_modules(names: Collection[str]) -> dict[str, str]:
    """Map their modules to ours; they number the blocks through, we count them in each stage."""
    blocks = {int(match[1]) for name in names if (match := re.match(r'blocks\.(\d+)\.', name))}
    stages = _STAGES.get((len(blocks), 'blocks.0.conv2.conv.weight' in names))
    if stages is None or blocks != set(range(sum(stages))):
        raise ValueError(
            f'{len(blocks)} blocks, up to number {max(blocks)}, are no ResNet of PaddleClas: '
            'known are 8 and 16 basic blocks (18, 34) and 16, 33, 50 and 66 bottlenecks (50, 101, '
            '152, 200). Names of the file are missing, or its network is another one.'
        )
    is_vd = 'stem.1.conv.weight' in names
    modules = {}
    for kind in ('conv', 'bn'):
        for i in range(3):
            modules[f'stem.{i}.{kind}'] = f'backbone.stem.{i}.{kind}'
        if not is_vd:
            modules[f'stem.0.{kind}'] = f'backbone.{kind}1'
    positions = [(stage, i) for stage, length in enumerate(stages, 1) for i in range(length)]
    for number, (stage, i) in enumerate(positions):
        theirs, ours = f'blocks.{number}', f'backbone.layer{stage}.{i}'
        for j in range(3):
            modules[f'{theirs}.conv{j}.conv'] = f'{ours}.conv{j + 1}'
            modules[f'{theirs}.conv{j}.bn'] = f'{ours}.bn{j + 1}'
        first = int(is_vd and stage > 1)  # vd pools first wherever the stage strides
        modules[f'{theirs}.short.conv'] = f'{ours}.downsample.{first}'
        modules[f'{theirs}.short.bn'] = f'{ours}.downsample.{first + 1}'
    return modules


def _decoder_modules(names: Collection[str]) -> dict[str, str]:
    modules = {}
    for name in names:
        match = re.fullmatch(r'(fc\.(decoder\.layers\.\d+)\.(.+))\.\w+', name)
        if match and match[3].startswith('self_attn.'):
            raise ValueError(
                f'{name}: this ML-Decoder has self-attention, which ours has not. PaddleClas '
                'leaves it out of the first layer only: heads of depth 1 can be converted.'
            )
        if match and match[3] in _DECODER_LAYER:
            modules[match[1]] = f'head.{match[2]}.{_DECODER_LAYER[match[3]]}'
    return modules


def _value(name: str, value: Tensor, num_queries: int) -> Tensor:
    if name == 'fc.group_conv.weight':
        if not num_queries or len(value) % num_queries:
            raise ValueError(f'{name} has {len(value)} outputs for {num_queries} queries')
        # A grouped 1x1 convolution, (K * g, D, 1, 1): the g outputs of a query are neighbours.
        return value.flatten(1).unflatten(0, (num_queries, -1)).transpose(1, 2)  # (K, D, g)
    if name == 'fc.input_proj.weight':  # a 1x1 convolution
        return value.flatten(1)
    return value.T if name.startswith('fc.') and value.dim() == 2 else value  # (in, out) there


# ---- networks of timm


def _rename_timm(state: Mapping[str, Tensor], network: str) -> dict[str, dict[str, Tensor]]:
    """Rename a network that is timm's ``lcnet_*``, ``hgnetv2_b*`` or ``vit_base_patch16_clip_224``.

    It stands in ``TIMMBackbone``, an ML-Decoder is ``head.decoder``. A classifier becomes nothing,
    as it follows layers after the pool. PaddleClas resizes CLIP's position embeddings in each
    forward pass; those of a network with ML-Decoder are stored for 448 px, at which it is
    published. Unknown names are left out.
    """
    place = 'head.' if network == 'clip' else 'fc.'
    head = {f'fc.{n.removeprefix(place)}': n for n in state if n.startswith(place)}
    has_decoder = 'fc.query_pos_embed.weight' in head
    renamed: dict[str, dict[str, Tensor]] = {name: {} for name in head.values()}
    if has_decoder:
        decoder = _rename_head({name: state[source] for name, source in head.items()})
        renamed = {head[name]: ours for name, ours in decoder.items()}
    for name, value in state.items():
        module, _, parameter = name.rpartition('.')
        if name == 'proj' and network == 'clip':  # of CLIP's image embedding, unused
            renamed[name] = {}
        elif name not in head.values() and (ours := _timm_module(network, module)) is not None:
            parameter = _PARAMETERS.get(parameter, parameter)
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
        from mmpretrain.models.utils import resize_pos_embed  # heavy, and only wanted here

        for ours, value in renamed['pos_embed'].items():
            side = int((value.shape[1] - 1) ** 0.5)  # behind a class token
            renamed['pos_embed'][ours] = resize_pos_embed(value, (side, side), (28, 28))
    return renamed


def _timm_network(names: Collection[str]) -> str | None:
    return next((network for network, signs in _SIGNS_OF_TIMM.items() if signs <= {*names}), None)


def _timm_module(network: str, module: str) -> str | None:
    """Return timm's name of a module, None if it is not known."""
    if module in _TIMM_MODULES[network]:
        return _TIMM_MODULES[network][module]
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
