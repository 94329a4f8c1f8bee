"""Record a short training of PaddleClas for the everyday suite, which runs without it.

    python tests/peers/record_training.py

writes ``tests/recorded/paddle_training.json``. Needs ``$PADDLE_PYTHON``, and the checkouts of
PaddleClas that ``$PADDLECLAS`` and ``$PADDLECLAS_DRAFT`` name (docs/recipe.md).
"""

import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from peer_python import run_paddle
from record import TESTS, write

sys.path.append(str(TESTS / 'support'))
from training_recipes import RECIPES, Recipe, batches

ARCH = 'ResNet18_vd'
DECODER = dict(in_channels=512, embed_dim=64, mlp_hidden_dim=128)
SHAPE = dict(num_steps=20, batch_size=2, side=48)
RATES = 50  # of the whole schedule


def train(recipe: Recipe, arrays: dict[str, np.ndarray], epoch_length: int) -> dict:
    """Return what PaddleClas reports of a training, in float64."""
    with tempfile.TemporaryDirectory() as name:
        np.savez(Path(name) / 'batches.npz', **arrays)
        run_paddle(
            'paddle_training.py',
            name,
            *('--checkout', os.environ[recipe.checkout], '--config', recipe.config),
            *('--arch', ARCH, '--decoder', json.dumps(DECODER)),
            *('--dtype', 'float64', '--epoch-length', epoch_length),
        )
        return json.loads((Path(name) / 'training.json').read_text())


def record(recipe: Recipe) -> dict:
    """Return a training of one step an epoch, and the schedule of COCO's epochs."""
    training = train(recipe, batches(**SHAPE), epoch_length=1)
    no_steps = batches(**SHAPE | dict(num_steps=0))
    rates = train(recipe, no_steps, recipe.epoch_length)['rates']
    steps = np.linspace(0, len(rates) - 1, RATES).astype(int).tolist()
    schedule = dict(steps=steps, rates=[rates[step] for step in steps])
    return dict(config=recipe.config) | training | dict(schedule=schedule)


def main() -> None:
    recipes = {name: record(recipe) for name, recipe in RECIPES.items()}
    shapes = [recipe.pop('shapes') for recipe in recipes.values()]
    versions = [recipe.pop('versions') for recipe in recipes.values()]
    assert shapes[0] == shapes[1]
    header = dict(
        command='python tests/peers/record_training.py',
        peer='PaddleClas',
        versions=versions[0],
        model=dict(arch=ARCH, decoder=DECODER),
        batches=SHAPE,
        shapes=shapes[0],
    )
    write(TESTS / 'recorded' / 'paddle_training.json', header | dict(recipes=recipes))


if __name__ == '__main__':
    main()
