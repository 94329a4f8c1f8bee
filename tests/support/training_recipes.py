"""The two recipes, and a short training that a formula makes: for both interpreters, numpy only."""

from typing import NamedTuple

import numpy as np
from formula_weights import fill


class Recipe(NamedTuple):
    """A recipe here and at PaddleClas.

    Attributes:
        row (str): Our config, below ``configs/``.
        config (str): PaddleClas' config, below ``ppcls/configs/`` of its checkout.
        checkout (str): The environment variable that names the folder of that checkout.
        epoch_length (int): Steps of an epoch on COCO 2017's 118,287 images.
    """

    row: str
    config: str
    checkout: str
    epoch_length: int


_FOLDER = 'MultiLabelCOCO/MLDecoder'
RECIPES = {
    'table': Recipe(
        'mldecoder/r50_coco.py', f'{_FOLDER}/ResNet50_ml_decoder.yaml', 'PADDLECLAS_DRAFT', 529
    ),
    '448px': Recipe(
        'mldecoder/r50_coco-448px.py',
        f'{_FOLDER}/ResNet50_ml_decoder_448.yaml',
        'PADDLECLAS',
        463,
    ),
}


def start(shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Return weights of a calm network for the names and shapes of a ResNet of PaddleClas.

    The last norm of every residual branch is scaled down, so that the branches add little, as in
    trained networks. Otherwise a rounding error of float32 grows to per cents of the loss within 20
    steps, and a framework does not even agree with itself in float64.
    """
    last = 'conv2' if 'blocks.0.conv2.bn.weight' in shapes else 'conv1'
    weights = {name: fill(name, tuple(shape)) for name, shape in shapes.items()}
    for name in weights:
        if name.startswith('blocks.') and name.endswith(f'{last}.bn.weight'):
            weights[name] *= np.float32(0.02)
    return weights


def batches(num_steps: int, batch_size: int, side: int) -> dict[str, np.ndarray]:
    """Return ``images`` ``(S, B, 3, side, side)`` of 8 x 8 tiles and 0/1 ``targets`` for COCO."""
    random = np.random.RandomState(0)
    tiles = random.randint(0, 256, (num_steps, batch_size, 3, 8, 8))
    images = tiles.repeat(side // 8, axis=-1).repeat(side // 8, axis=-2) / 127.5 - 1
    targets = random.randint(0, 100, (num_steps, batch_size, 80)) < 4
    return dict(images=images.astype(np.float32), targets=targets.astype(np.uint8))
