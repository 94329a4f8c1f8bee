"""Record outputs of a peer for the everyday suite, which runs without it.

    python tests/peers/record.py {augment,metric,models,training}

runs the peer in Paddle's interpreter (``$PADDLE_PYTHON``) and writes ``tests/recorded/``; needs
numpy itself, nothing else. All but the models need the repositories of PaddleClas that
``$PADDLECLAS`` and ``$PADDLECLAS_DRAFT`` name (docs/recipe.md).
"""

import argparse
import json
import os
import re
import sys
import tempfile
from pathlib import Path

import numpy as np
from peer_python import run_paddle

TESTS = Path(__file__).parents[1]
sys.path.append(str(TESTS / 'support'))
from augmentation_cases import CASES, case_key, count_draws, sample_image, summary  # noqa: E402
from formula_weights import formula_images  # noqa: E402
from metric_cases import metric_cases  # noqa: E402
from training_recipes import RECIPES, Recipe, batches  # noqa: E402

# Of the models.
SIZES = [(64, 96), (97, 131), (224, 224)]  # height, width
SIZES_OF_CLIP = [(448, 448)]
LOGITS = 10  # of each image
# Of the training.
ARCH = 'ResNet18_vd'
DECODER = dict(in_channels=512, embed_dim=64, mlp_hidden_dim=128)
SHAPE = dict(num_steps=20, batch_size=2, side=48)
RATES = 50  # of the whole schedule


def run(script: str, folder: Path, recipe: Recipe, *arguments: object) -> None:
    """Run a script with the recipe's PaddleClas."""
    run_paddle(script, folder, '--checkout', os.environ[recipe.checkout], *arguments)


def record_augment(folder: Path) -> dict:
    """Summaries of the formula image after every operation, and counts of 10,000 draws.

    ``outputs`` of PaddleClas are those that differ from the authors'.
    """
    np.savez(folder / 'images.npz', formula=sample_image())
    outputs, draws = {}, {}
    for peer in ('authors', 'paddleclas'):
        if peer == 'authors':
            run_paddle('paddle_augment.py', folder)
        else:
            recipe = RECIPES['448px']
            run('paddle_augment.py', folder, recipe, '--config', recipe.config)
        images = dict(np.load(folder / 'outputs.npz'))
        summaries = {
            key: summary(images[f'formula/{key}']) for key in (case_key(*c) for c in CASES)
        }
        outputs[peer] = {
            key: value
            for key, value in summaries.items()
            if peer == 'authors' or value != outputs['authors'][key]
        }
        made = json.loads((folder / 'made.json').read_text())
        draws[peer] = count_draws(made['draws'])
    versions = dict(paddleclas='develop', **made['versions'])
    peer = 'PaddleClas and the package randaugment'
    return dict(peer=peer, versions=versions, outputs=outputs, draws=draws)


def record_metric(folder: Path) -> dict:
    """AP of every class, and mAP, of the formula cases."""
    arrays = {}
    for name, (scores, targets) in metric_cases().items():
        arrays.update({f'{name}/scores': scores, f'{name}/targets': targets})
    np.savez(folder / 'cases.npz', **arrays)
    run('paddle_metric.py', folder, RECIPES['448px'])
    return dict(peer='PaddleClas', **json.loads((folder / 'results.json').read_text()))


def record_models(folder: Path) -> dict:
    """Logits of PaddleClas' models with formula weights, of formula images."""
    sizes = [*SIZES, *SIZES_OF_CLIP]
    inputs = {f'{height}x{width}': formula_images(height, width) for height, width in sizes}
    np.savez(folder / 'inputs.npz', **inputs)
    run_paddle('paddle_models.py', folder)
    made = json.loads((folder / 'parameters.json').read_text())
    logits = {}
    for model in made['parameters']:
        outputs = np.load(folder / f'{model}.npz')
        sizes = SIZES_OF_CLIP if model.startswith('CLIP') else SIZES
        keys = [f'{height}x{width}' for height, width in sizes]
        logits[model] = {key: spread(outputs[f'{key}/logits']) for key in keys}
    # Those of the others are in tests/data/published_names.tsv.gz.
    parameters = shared({k: v for k, v in made['parameters'].items() if k.startswith('ResNet')})
    return dict(peer='PaddleClas', versions=made['versions'], parameters=parameters, logits=logits)


def spread(rows: np.ndarray) -> list[list[float]]:
    """Return a few numbers of each row, evenly spaced from the first to the last."""
    columns = np.linspace(0, rows.shape[1] - 1, LOGITS).astype(int)
    return [[float(f'{value:.8g}') for value in row] for row in rows[:, columns]]


def shared(parameters: dict[str, dict[str, list[int]]]) -> dict[str, dict[str, list[int]]]:
    """Return names and shapes of each backbone and each head once: BACKBONE[-HEAD] has both."""
    parts = {}
    for model, shapes in parameters.items():
        backbone, _, head = model.partition('-')
        for part, is_head in ((backbone, False), (head or 'fc', True)):
            own = {
                name: shape for name, shape in shapes.items() if name.startswith('fc.') is is_head
            }
            if parts.setdefault(part, own) != own:
                raise ValueError(f'{part} of {model} is not that of the models before it')
    return parts


def record_training(folder: Path) -> dict:
    """A training of both recipes, one step an epoch, and the schedule of COCO's epochs."""
    recipes, same = {}, {}
    for name, recipe in RECIPES.items():
        training = train(folder, recipe, batches(**SHAPE), epoch_length=1)
        no_steps = batches(**SHAPE | dict(num_steps=0))
        rates = train(folder, recipe, no_steps, recipe.epoch_length)['rates']
        for key in ('versions', 'shapes'):
            value = training.pop(key)
            assert same.setdefault(key, value) == value
        steps = np.linspace(0, len(rates) - 1, RATES).astype(int).tolist()
        schedule = dict(steps=steps, rates=[rates[step] for step in steps])
        recipes[name] = dict(config=recipe.config, **training, schedule=schedule)
    return dict(
        peer='PaddleClas',
        versions=same['versions'],
        model=dict(arch=ARCH, decoder=DECODER),
        batches=SHAPE,
        shapes=same['shapes'],
        recipes=recipes,
    )


def train(folder: Path, recipe: Recipe, arrays: dict[str, np.ndarray], epoch_length: int) -> dict:
    """Return what PaddleClas reports of a training, in float64."""
    np.savez(folder / 'batches.npz', **arrays)
    model = ('--arch', ARCH, '--decoder', json.dumps(DECODER), '--dtype', 'float64')
    steps = ('--config', recipe.config, '--epoch-length', epoch_length)
    run('paddle_training.py', folder, recipe, *model, *steps)
    return json.loads((folder / 'training.json').read_text())


RECORDS = dict(
    augment=('paddleclas_augment.json', record_augment),
    metric=('paddleclas_metric.json', record_metric),
    models=('paddle_models.json', record_models),
    training=('paddle_training.json', record_training),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('what', choices=list(RECORDS))
    what = parser.parse_args().what
    file, record = RECORDS[what]
    with tempfile.TemporaryDirectory() as folder:
        content = dict(command=f'python tests/peers/record.py {what}', **record(Path(folder)))
    # A line for each list of numbers.
    text = json.dumps(content, indent=1)
    text = re.sub(r'\[[^\[\]{}"]*\]', lambda match: ' '.join(match[0].split()), text)
    (TESTS / 'recorded' / file).write_text(text + '\n')


if __name__ == '__main__':
    main()
