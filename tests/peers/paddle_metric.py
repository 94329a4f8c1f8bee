"""Run PaddleClas' ``MultiLabelMAP`` (Paddle's interpreter).

    python tests/peers/paddle_metric.py FOLDER --checkout PADDLECLAS

``FOLDER/cases.npz`` holds logits ``NAME/scores`` and ``NAME/targets``, both ``(N, C)``, which the
metric is given in batches. ``FOLDER/results.json`` gets, by name and map type, the metric of all
classes (``mAP``) and that of each class alone (``AP``).
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import paddle
from paddleclas_sources import define

sys.path.append(str(Path(__file__).parents[1] / 'support'))
from metric_cases import BATCH


def metric_class(checkout: Path) -> type[paddle.nn.Layer]:
    path = checkout / 'ppcls' / 'metric' / 'metrics.py'
    modules = dict(np=np, paddle=paddle, nn=paddle.nn, F=paddle.nn.functional)
    return define(path, ('MultiLabelMAP',), **modules)['MultiLabelMAP']


def evaluate(metric: paddle.nn.Layer, scores: np.ndarray, targets: np.ndarray) -> float:
    metric.reset()
    for start in range(0, len(scores), BATCH):
        batch = (array[start : start + BATCH] for array in (scores, targets))
        metric(*(paddle.to_tensor(np.ascontiguousarray(array)) for array in batch))
    return float(metric.avg)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('folder', type=Path)
    parser.add_argument('--checkout', type=Path, required=True)
    args = parser.parse_args()
    multi_label_map = metric_class(args.checkout)

    cases = np.load(args.folder / 'cases.npz')
    results = {}
    for name in [key.removesuffix('/scores') for key in cases if key.endswith('/scores')]:
        scores, targets = cases[f'{name}/scores'], cases[f'{name}/targets']
        results[name] = {}
        for map_type in ('integral', '11point'):
            metric = multi_label_map(map_type)
            columns = range(scores.shape[1])
            results[name][map_type] = dict(
                mAP=evaluate(metric, scores, targets),
                AP=[evaluate(metric, scores[:, [c]], targets[:, [c]]) for c in columns],
            )
    versions = dict(paddleclas='develop', paddlepaddle=paddle.__version__)
    content = dict(versions=versions, results=results)
    (args.folder / 'results.json').write_text(json.dumps(content))


if __name__ == '__main__':
    main()
