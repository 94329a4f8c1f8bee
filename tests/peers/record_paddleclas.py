"""Record what PaddleClas' augmentation and metric give, for the everyday suite.

    PADDLECLAS=CHECKOUT python tests/peers/record_paddleclas.py {augment,metric}

runs them in Paddle's interpreter (``$PADDLE_PYTHON``) and writes ``tests/recorded/``; needs numpy
itself, nothing else. ``augment`` runs the package ``randaugment`` too, which has to be there.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from peer_python import run_paddle
from record import TESTS, write

sys.path.append(str(TESTS / 'support'))
from augmentation_cases import CASES, case_key, count_draws, formula_picture, summary
from metric_cases import metric_cases


def record_augment(folder: Path, checkout: str) -> dict:
    """Summaries of the formula picture after every operation, and counts of 10,000 draws.

    ``outputs`` of PaddleClas are those that differ from the authors'.
    """
    np.savez(folder / 'pictures.npz', formula=formula_picture())
    run_paddle('paddle_augment.py', folder, '--checkout', checkout)
    pictures = np.load(folder / 'outputs.npz')
    made = json.loads((folder / 'draws.json').read_text())
    outputs = {peer: {} for peer in ('authors', 'paddleclas')}
    for key in (case_key(*case) for case in CASES):
        authors, paddleclas = (pictures[f'{peer}/formula/{key}'] for peer in outputs)
        outputs['authors'][key] = summary(authors)
        if not np.array_equal(authors, paddleclas):
            outputs['paddleclas'][key] = summary(paddleclas)
    return dict(
        versions=made['versions'],
        outputs=outputs,
        draws={peer: count_draws(made['draws'][peer]) for peer in outputs},
    )


def record_metric(folder: Path, checkout: str) -> dict:
    """AP of every class, and mAP, of the formula cases."""
    arrays = {}
    for name, (scores, targets) in metric_cases().items():
        arrays.update({f'{name}/scores': scores, f'{name}/targets': targets})
    np.savez(folder / 'cases.npz', **arrays)
    run_paddle('paddle_metric.py', folder, '--checkout', checkout)
    return json.loads((folder / 'results.json').read_text())


def main() -> None:
    records = dict(augment=record_augment, metric=record_metric)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('what', choices=list(records))
    what = parser.parse_args().what
    with tempfile.TemporaryDirectory() as folder:
        content = records[what](Path(folder), os.environ['PADDLECLAS'])
    command = f'PADDLECLAS=CHECKOUT python tests/peers/record_paddleclas.py {what}'
    peer = 'PaddleClas and the package randaugment' if what == 'augment' else 'PaddleClas'
    path = TESTS / 'recorded' / f'paddleclas_{what}.json'
    write(path, dict(command=command, peer=peer, **content))


if __name__ == '__main__':
    main()
