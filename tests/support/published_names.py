"""Names and shapes of published weights: as published, and written from PaddleClas' networks."""

import functools
import gzip
import pickle
from pathlib import Path

import numpy as np

Shapes = dict[str, tuple[int, ...]]

BLOCKS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
    200: (3, 12, 48, 3),
}


@functools.cache
def _lists() -> dict[str, Shapes]:
    lists: dict[str, Shapes] = {}
    path = Path(__file__).parents[1] / 'data' / 'published_names.tsv.gz'
    for line in gzip.decompress(path.read_bytes()).decode().splitlines():
        file, weight, shape = line.split('\t')
        lists.setdefault(file, {})[weight] = tuple(
            int(size) for size in shape.strip('()').split(',') if size
        )
    return lists


def published_list(file: str) -> Shapes:
    """Return the names and shapes in a published file, see tests/data/README.md."""
    return dict(_lists()[file])


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


def save_paddle(folder: Path, shapes: Shapes) -> str:
    """Write random weights as PaddleClas does, and return the path."""
    path = folder / 'weights.pdparams'
    path.write_bytes(pickle.dumps(random_arrays(shapes), protocol=4))
    return str(path)
