"""Our AP against PaddleClas' ``MultiLabelMAP``, run on the recorded cases and on larger ones."""

import json

import numpy as np
import pytest
from metric_cases import metric_cases
from paddleclas_metric import check_case, check_ties

SEEDS = range(4)


def random_case(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits without ties and targets of 700 samples and 8 classes, rare to frequent."""
    random = np.random.RandomState(seed)
    scores = np.stack([random.permutation(700) for _ in range(8)], axis=1) * 0.01 - 3.5
    targets = random.uniform(size=scores.shape) < np.array(
        [0.002, 0.01, 0.02, 0.05, 0.1, 0.3, 0.6, 0.9]
    )
    targets[seed] = True  # none is missing
    return scores.astype(np.float32), targets.astype(np.int64)


@pytest.fixture(scope='module')
def results(run_paddle, tmp_path_factory):
    folder = tmp_path_factory.mktemp('metric')
    arrays = {}
    for name, case in (metric_cases() | {f'{s}': random_case(s) for s in SEEDS}).items():
        arrays |= zip((f'{name}/scores', f'{name}/targets'), case, strict=True)
    np.savez(folder / 'cases.npz', **arrays)
    run_paddle('paddle_metric.py', folder, checkout='PADDLECLAS')
    return json.loads((folder / 'results.json').read_text())['results']


@pytest.mark.parametrize('map_type', ['integral', '11point'])
@pytest.mark.parametrize('name', ['plain', 'missing', 'unknown', 'few'])
def test_cases(results, name, map_type):
    check_case(name, *metric_cases()[name], results[name][map_type], map_type)


@pytest.mark.parametrize('map_type', ['integral', '11point'])
@pytest.mark.parametrize('seed', SEEDS)
def test_rare_and_frequent_classes(results, seed, map_type):
    check_case(str(seed), *random_case(seed), results[str(seed)][map_type], map_type)


@pytest.mark.parametrize('map_type', ['integral', '11point'])
def test_ties(results, map_type):
    check_ties(results, map_type)
