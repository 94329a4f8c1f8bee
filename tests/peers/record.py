"""Record outputs of a peer for the everyday suite, which runs without it.

    python tests/peers/record.py models

runs the peer in Paddle's interpreter (``$PADDLE_PYTHON``) and writes ``tests/recorded/``; needs
numpy itself, nothing else.
"""

import argparse
import json
import re
import sys
import tempfile
from pathlib import Path

import numpy as np
from peer_python import run_paddle

TESTS = Path(__file__).parents[1]
sys.path.append(str(TESTS / 'support'))
from formula_weights import formula_images  # noqa: E402

SIZES = [(64, 96), (97, 131), (224, 224)]  # height, width
LOGITS = 10  # of each image


def record_models() -> dict:
    """Logits of PaddleClas' models with formula weights, of formula images."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        inputs = {f'{height}x{width}': formula_images(height, width) for height, width in SIZES}
        np.savez(folder / 'inputs.npz', **inputs)
        run_paddle('paddle_models.py', folder)
        made = json.loads((folder / 'parameters.json').read_text())
        logits = {}
        for model in made['parameters']:
            outputs = np.load(folder / f'{model}.npz')
            logits[model] = {key: spread(outputs[f'{key}/logits']) for key in inputs}
    return dict(
        peer='PaddleClas',
        versions=made['versions'],
        parameters=shared(made['parameters']),
        logits=logits,
    )


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


RECORDS = {'models': ('paddle_models.json', record_models)}


def write(path: Path, content: dict) -> None:
    """Write JSON with a line for each list of numbers."""
    text = json.dumps(content, indent=1)
    text = re.sub(r'\[[^\[\]{}"]*\]', lambda match: ' '.join(match[0].split()), text)
    path.write_text(text + '\n')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('what', choices=list(RECORDS))
    what = parser.parse_args().what
    file, record = RECORDS[what]
    header = dict(command=f'python tests/peers/record.py {what}')
    write(TESTS / 'recorded' / file, header | record())


if __name__ == '__main__':
    main()
