"""PaddleClas' names: its ResNets ("vb" and "vd"), alone or with its ML-Decoder head."""

import re
from collections.abc import Collection, Mapping

from torch import Tensor

_STUDENT = 'Student.'

# Blocks of each stage, by the number of all blocks and whether they are bottlenecks.
_STAGES = {
    (8, False): (2, 2, 2, 2),
    (16, False): (3, 4, 6, 3),
    (16, True): (3, 4, 6, 3),
    (33, True): (3, 4, 23, 3),
    (50, True): (3, 8, 36, 3),
    (66, True): (3, 12, 48, 3),
}

_NORM = {
    'weight': 'weight',
    'bias': 'bias',
    '_mean': 'running_mean',
    '_variance': 'running_var',
}

_DECODER_LAYER = {
    'cross_attn.q_proj': 'attention.query_proj',
    'cross_attn.k_proj': 'attention.key_proj',
    'cross_attn.v_proj': 'attention.value_proj',
    'cross_attn.out_proj': 'attention.out_proj',
    'linear1': 'ffn_in',
    'linear2': 'ffn_out',
    'norm1': 'query_norm',
    'norm2': 'attention_norm',
    'norm3': 'ffn_norm',
}


def family_of(names: Collection[str]) -> str | None:
    """Return ``'paddleclas'`` if these are the names of one of its ResNets."""
    firsts = (
        ('stem.0.conv.weight', 'blocks.0.conv0.conv.weight'),
        (f'{_STUDENT}stem.0.conv.weight', f'{_STUDENT}blocks.0.conv0.conv.weight'),
        ('conv1_1._conv.weight', 'bb_0_0.conv0._conv.weight'),
    )
    return 'paddleclas' if any(set(first) <= set(names) for first in firsts) else None


def rename(state: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Give every name of the file what it becomes here: ``{their name: {our name: tensor}}``.

    "vb" becomes the host's ``ResNet``, "vd" becomes ``ResNetVd``; ``fc`` becomes ``head.fc`` or
    ``head.decoder``. Unknown names are left out. Of a distillation the student is taken, and the
    teacher becomes nothing. The "vd" names of PaddleClas 2.0 (``conv1_1._conv.weight``) are known
    too: its code named the files that are not in the folder ``legendary_models``.

    PaddleClas' ``ResNet18`` and ``ResNet34`` (not ``_vd``) project the shortcut of the very first
    block too, which the host's ``ResNet`` does not: there ``backbone.layer1.0.downsample`` is left
    over.

    Raises:
        ValueError: If the number of blocks is that of no ResNet, or if the head has
            self-attention.
    """
    prefix = _STUDENT if f'{_STUDENT}stem.0.conv.weight' in state else ''
    student = {name.removeprefix(prefix): name for name in state if name.startswith(prefix)}
    if 'conv1_1._conv.weight' in student:
        student = _names_of_today(student)
    positions = _block_positions(student)
    is_vd = 'stem.1.conv.weight' in student
    queries = state.get(f'{prefix}fc.query_pos_embed.weight')
    num_queries = 0 if queries is None else len(queries)
    renamed = {}
    if prefix:
        renamed = {name: {} for name in state if name.startswith('Teacher.')}
    for name, source in student.items():
        value = state[source]
        if name.startswith('fc.'):
            ours = _rename_head(name.removeprefix('fc.'), value, num_queries)
        else:
            ours = _rename_backbone(name, value, positions, is_vd)
        if ours is not None:
            renamed[source] = ours
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


def _block_positions(names: Collection[str]) -> list[tuple[int, int]]:
    """Return stage (from 1) and place in it (from 0) of the blocks, which they number through."""
    blocks = {int(match[1]) for name in names if (match := re.match(r'blocks\.(\d+)\.', name))}
    stages = _STAGES.get((len(blocks), 'blocks.0.conv2.conv.weight' in names))
    if stages is None or blocks != set(range(sum(stages))):
        raise ValueError(
            f'{len(blocks)} blocks, up to number {max(blocks)}, are no ResNet of PaddleClas: '
            'known are 8 and 16 basic blocks (18, 34) and 16, 33, 50 and 66 bottlenecks (50, 101, '
            '152, 200). Names of the file are missing, or its network is another one.'
        )
    return [(stage, i) for stage, length in enumerate(stages, 1) for i in range(length)]


def _rename_backbone(
    name: str, value: Tensor, positions: list[tuple[int, int]], is_vd: bool
) -> dict[str, Tensor] | None:
    match = re.fullmatch(r'(stem\.\d+|blocks\.\d+\.\w+)\.(conv|bn)\.(\w+)', name)
    if match is None:
        return None
    place, kind, parameter = match.groups()
    parameter = _NORM.get(parameter) if kind == 'bn' else parameter
    if parameter is None:
        return None
    is_norm = kind == 'bn'
    if place.startswith('stem.'):
        module = f'{place}.{kind}' if is_vd else f'{kind}1'
    else:
        _, block, layer = place.split('.')
        stage, index = positions[int(block)]
        module = f'layer{stage}.{index}.'
        if layer == 'short':
            # vd pools first wherever the stage strides.
            module += f'downsample.{(is_vd and stage > 1) + is_norm}'
        elif re.fullmatch(r'conv[012]', layer):
            module += ('bn' if is_norm else 'conv') + str(int(layer[-1]) + 1)
        else:
            return None
    return {f'backbone.{module}.{parameter}': value}


def _rename_head(name: str, value: Tensor, num_queries: int) -> dict[str, Tensor] | None:
    match = re.fullmatch(r'decoder\.layers\.(\d+)\.(.+)\.(weight|bias)', name)
    if match is not None:
        layer, module, parameter = match.groups()
        if module.startswith('self_attn.'):
            raise ValueError(
                f'fc.{name}: this ML-Decoder has self-attention, which ours has not. PaddleClas '
                'leaves it out of the first layer only: heads of depth 1 can be converted.'
            )
        if module not in _DECODER_LAYER:
            return None
        is_matrix = parameter == 'weight' and not module.startswith('norm')
        ours = f'head.decoder.layers.{layer}.{_DECODER_LAYER[module]}.{parameter}'
        return {ours: value.T if is_matrix else value}
    if name == 'weight':
        return {'head.fc.weight': value.T}
    if name == 'bias':
        return {'head.fc.bias': value}
    if name == 'input_proj.weight':  # a 1x1 convolution
        return {'head.decoder.input_proj.weight': value.flatten(1)}
    if name == 'input_proj.bias':
        return {'head.decoder.input_proj.bias': value}
    if name == 'query_pos_embed.weight':
        return {'head.decoder.queries': value}
    if name == 'group_conv.weight' and num_queries and len(value) % num_queries == 0:
        # A grouped 1x1 convolution, (K * g, D, 1, 1): the g outputs of a query are neighbours.
        value = value.flatten(1).unflatten(0, (num_queries, -1))  # (K, g, D)
        return {'head.decoder.group_linear.weight': value.transpose(1, 2)}
    if name == 'group_conv.bias':
        return {'head.decoder.group_linear.bias': value}
    return None
