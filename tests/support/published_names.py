"""Names and shapes of published weights, written from the structure of the networks.

The lists in ``shared/reference`` name the published files; tests compare where they are there.
"""

from pathlib import Path

import numpy as np
import pytest

REFERENCE = Path(__file__).parents[3] / 'shared' / 'reference'

Shapes = dict[str, tuple[int, ...]]

BLOCKS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
    200: (3, 12, 48, 3),
}

# Blocks of each stage, and whether stages 1 and 2 have bottlenecks as 3 and 4 have.
TRESNETS = {
    'm': ((3, 4, 11, 3), False),
    'l': ((3, 4, 23, 3), True),
    'xl': ((3, 8, 34, 5), True),
}


def read_reference(name: str) -> Shapes:
    """Return the list of ``shared/reference/NAME.tsv``; skip where it is absent."""
    path = REFERENCE / f'{name}.tsv'
    if not path.is_file():
        pytest.skip(f'no list of published names: {path} is absent')
    shapes = {}
    for line in path.read_text().splitlines():
        weight, shape = line.split('\t')
        shapes[weight] = tuple(int(size) for size in shape.strip('()').split(',') if size)
    return shapes


def random_arrays(shapes: Shapes, seed: int = 0) -> dict[str, np.ndarray]:
    """Fill shapes with float32 values: positive variances, scales of norms of either sign."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for name, shape in shapes.items():
        values = rng.standard_normal(shape, dtype=np.float32)
        if name.endswith(('_variance', 'running_var')):
            values = 0.5 + np.abs(values)
        elif len(shape) > 1:
            values *= np.float32(2 / np.prod(shape[1:])) ** 0.5
        arrays[name] = np.asarray(values, np.float32)
    return arrays


def paddleclas_resnet(depth: int, vd: bool, width: int = 64) -> Shapes:
    """PaddleClas' ``ResNet{depth}`` or ``ResNet{depth}_vd`` without its ``fc``."""
    shapes: Shapes = {}

    def conv_bn(name: str, out_channels: int, in_channels: int, kernel: int) -> None:
        shapes[f'{name}.conv.weight'] = (out_channels, in_channels, kernel, kernel)
        for part in ('weight', 'bias', '_mean', '_variance'):
            shapes[f'{name}.bn.{part}'] = (out_channels,)

    if vd:
        conv_bn('stem.0', width // 2, 3, 3)
        conv_bn('stem.1', width // 2, width // 2, 3)
        conv_bn('stem.2', width, width // 2, 3)
    else:
        conv_bn('stem.0', width, 3, 7)
    kernels = (1, 3, 1) if depth >= 50 else (3, 3)
    number, in_channels = 0, width
    for stage, num_blocks in enumerate(BLOCKS[depth]):
        inner = width * 2**stage
        outer = inner * (4 if depth >= 50 else 1)
        for i in range(num_blocks):
            channels = [in_channels, *[inner] * (len(kernels) - 1), outer]
            for j, kernel in enumerate(kernels):
                conv_bn(f'blocks.{number}.conv{j}', channels[j + 1], channels[j], kernel)
            if i == 0:
                conv_bn(f'blocks.{number}.short', outer, in_channels, 1)
            number, in_channels = number + 1, outer
    return shapes


def paddleclas_fc(in_channels: int, num_classes: int) -> Shapes:
    return {'fc.weight': (in_channels, num_classes), 'fc.bias': (num_classes,)}


def paddleclas_ml_decoder(
    in_channels: int, num_queries: int, group_size: int = 1, dims: int = 768, hidden: int = 2048
) -> Shapes:
    """PaddleClas' ML-Decoder of depth 1, which it puts in the place of ``fc``."""
    layer = 'fc.decoder.layers.0'
    shapes: Shapes = {
        'fc.input_proj.weight': (dims, in_channels, 1, 1),
        'fc.input_proj.bias': (dims,),
        'fc.query_pos_embed.weight': (num_queries, dims),
    }
    for kind in 'qkv':
        shapes[f'{layer}.cross_attn.{kind}_proj.weight'] = (dims, dims)
        shapes[f'{layer}.cross_attn.{kind}_proj.bias'] = (dims,)
    return shapes | {
        f'{layer}.cross_attn.out_proj.weight': (dims, dims),
        f'{layer}.cross_attn.out_proj.bias': (dims,),
        f'{layer}.linear1.weight': (dims, hidden),
        f'{layer}.linear1.bias': (hidden,),
        f'{layer}.linear2.weight': (hidden, dims),
        f'{layer}.linear2.bias': (dims,),
        **{f'{layer}.norm{i}.{part}': (dims,) for i in (1, 2, 3) for part in ('weight', 'bias')},
        'fc.group_conv.weight': (num_queries * group_size, dims, 1, 1),
        'fc.group_conv.bias': (num_queries * group_size,),
    }


def miil_tresnet(size: str) -> Shapes:
    """The body of the authors' TResNet ``m``, ``l`` or ``xl``."""
    shapes: Shapes = {}

    def conv_abn(name: str, out_channels: int, in_channels: int, kernel: int) -> None:
        shapes[f'{name}.0.weight'] = (out_channels, in_channels, kernel, kernel)
        for part in ('weight', 'bias', 'running_mean', 'running_var'):
            shapes[f'{name}.1.{part}'] = (out_channels,)

    blocks, always_bottleneck = TRESNETS[size]
    conv_abn('body.conv1', 64, 48, 3)
    in_channels = 64
    for stage, num_blocks in enumerate(blocks, 1):
        width = 32 * 2**stage
        is_bottleneck = always_bottleneck or stage > 2
        outer = width * 4 if is_bottleneck else width
        for i in range(num_blocks):
            block = f'body.layer{stage}.{i}'
            strides = i == 0 and stage > 1
            # Where it strides, the 3x3 convolution has a blur behind it, one level further out.
            strided = '.0' if strides else ''
            if is_bottleneck:
                conv_abn(f'{block}.conv1', width, in_channels, 1)
                conv_abn(f'{block}.conv2{strided}', width, width, 3)
                conv_abn(f'{block}.conv3', outer, width, 1)
            else:
                conv_abn(f'{block}.conv1{strided}', width, in_channels, 3)
                conv_abn(f'{block}.conv2', width, width, 3)
            if i == 0 and in_channels != outer:
                # Behind a pool where it strides.
                conv_abn(f'{block}.downsample.{int(strides)}', outer, in_channels, 1)
            if stage < 4:
                squeezed = max(outer // (8 if is_bottleneck else 4), 64)
                shapes[f'{block}.se.fc1.weight'] = (squeezed, width, 1, 1)
                shapes[f'{block}.se.fc1.bias'] = (squeezed,)
                shapes[f'{block}.se.fc2.weight'] = (width, squeezed, 1, 1)
                shapes[f'{block}.se.fc2.bias'] = (width,)
            in_channels = outer
    return shapes


def miil_ml_decoder(
    num_queries: int, group_size: int, num_classes: int, in_channels: int = 2048
) -> Shapes:
    """The authors' head as they publish it."""
    dims, hidden, layer = 768, 2048, 'head.decoder.layers.0'
    return {
        'head.decoder.duplicate_pooling': (num_queries, dims, group_size),
        'head.decoder.duplicate_pooling_bias': (num_classes,),
        f'{layer}.multihead_attn.in_proj_weight': (3 * dims, dims),
        f'{layer}.multihead_attn.in_proj_bias': (3 * dims,),
        f'{layer}.multihead_attn.out_proj.weight': (dims, dims),
        f'{layer}.multihead_attn.out_proj.bias': (dims,),
        f'{layer}.linear1.weight': (hidden, dims),
        f'{layer}.linear1.bias': (hidden,),
        f'{layer}.linear2.weight': (dims, hidden),
        f'{layer}.linear2.bias': (dims,),
        **{f'{layer}.norm{i}.{part}': (dims,) for i in (1, 2, 3) for part in ('weight', 'bias')},
        'head.decoder.embed_standart.weight': (dims, in_channels),
        'head.decoder.embed_standart.bias': (dims,),
        'head.decoder.query_embed.weight': (num_queries, dims),
    }
