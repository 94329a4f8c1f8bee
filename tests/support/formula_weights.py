"""Weights and images that a formula makes, so that two frameworks get the same without a file.

Recorded outputs of a peer need neither its weights nor its images this way. Imports numpy only,
as the peers' interpreters use it too.
"""

import math
import zlib

import numpy as np


def fill(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return the float32 tensor that the PaddleClas parameter ``name`` of ``shape`` gets.

    Values come from a random stream that the name seeds, so no two tensors are alike; their spread
    keeps activations of size 1 in a deep network. Running statistics are random too: means around
    0, variances from 0.5 to 1.5. A linear layer's shape is the peer's, ``(in, out)``.
    """
    # RandomState's streams are frozen by numpy's compatibility policy; default_rng's are not.
    random = np.random.RandomState(zlib.crc32(name.encode()))
    if name.endswith('_variance'):
        values = random.uniform(0.5, 1.5, shape)
    else:
        values = random.standard_normal(shape)
        if name.endswith(('bias', '_mean')):
            values *= 0.1
        elif len(shape) == 1:  # scale of a norm
            values = 1 + 0.1 * values
        elif 'embed' not in name:
            values /= math.sqrt(shape[0] if len(shape) == 2 else math.prod(shape[1:]))
            # Networks with few shortcuts or none, where it would fade away.
            if name.startswith(('stages.', 'stem.stem')):  # PP-HGNetV2
                values *= 1.2
            elif name.startswith(tuple(f'blocks{stage}.' for stage in range(2, 7))):  # PP-LCNet
                values *= 1.6
    return values.astype(np.float32)


def formula_images(height: int, width: int, count: int = 2) -> np.ndarray:
    """Return ``count`` smooth images ``(B, 3, H, W)``, float32 in ``[-2, 2]``, all different."""
    index = np.arange(count).reshape(-1, 1, 1, 1)
    channel = np.arange(3).reshape(1, -1, 1, 1)
    y = np.linspace(0, 1, height).reshape(1, 1, -1, 1)
    x = np.linspace(0, 1, width).reshape(1, 1, 1, -1)
    waves = np.sin(2 * np.pi * ((3 + 4 * index) * x + (1 + channel) * y))
    spots = np.cos(2 * np.pi * (5 + channel) * (x - 0.3 * index) * (y + 0.2))
    return (waves + spots).astype(np.float32)
