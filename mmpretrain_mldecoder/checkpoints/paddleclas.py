"""PaddleClas' names: its ResNets ("vb" and "vd"), alone or with its ML-Decoder head."""

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
PARAMETERS = dict(weight='weight', bias='bias', _mean='running_mean', _variance='running_var')
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


def family_of(names: Collection[str]) -> str | None:
    """Return ``'paddleclas'`` if these are the names of one of its ResNets."""
    firsts = (
        {'stem.0.conv.weight', 'blocks.0.conv0.conv.weight'},
        {'Student.stem.0.conv.weight', 'Student.blocks.0.conv0.conv.weight'},
        {'conv1_1._conv.weight', 'bb_0_0.conv0._conv.weight'},
    )
    return 'paddleclas' if any(first <= set(names) for first in firsts) else None


def rename(state: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Give every name of the file what it becomes here: ``{their name: {our name: tensor}}``.

    "vb" becomes the host's ``ResNet``, "vd" becomes ``ResNetVd``; ``fc`` becomes ``head.fc`` or
    ``head.decoder``. Unknown names are left out. Of a distillation the student is taken, and the
    teacher becomes nothing. The "vd" names of PaddleClas 2.0 (``conv1_1._conv.weight``), of files
    outside of the folder ``legendary_models``, are known too.

    PaddleClas' ``ResNet18`` and ``ResNet34`` (not ``_vd``) project the very first shortcut, which
    the host's ``ResNet`` does not: there ``backbone.layer1.0.downsample`` is left over.

    Raises:
        ValueError: If the number of blocks is that of no ResNet, or if the head has
            self-attention.
    """
    prefix = 'Student.' if 'Student.stem.0.conv.weight' in state else ''
    student = {name.removeprefix(prefix): name for name in state if name.startswith(prefix)}
    if 'conv1_1._conv.weight' in student:
        student = _names_of_today(student)
    modules = _backbone_modules(student)
    head = rename_head({name: state[source] for name, source in student.items()})
    renamed: dict[str, dict[str, Tensor]] = {
        name: {} for name in state if prefix and name.startswith('Teacher.')
    }
    for name, source in student.items():
        module, _, parameter = name.rpartition('.')
        if name in head:
            renamed[source] = head[name]
        elif module in modules and parameter in PARAMETERS:
            renamed[source] = {f'{modules[module]}.{PARAMETERS[parameter]}': state[source]}
    return renamed


def rename_head(state: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
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
        elif module in modules and parameter in PARAMETERS:
            ours = f'{modules[module]}.{PARAMETERS[parameter]}'
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
