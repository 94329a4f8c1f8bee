"""Run PaddleClas' ``MultiLabelMAP`` (Paddle's interpreter).

    python tests/peers/paddle_metric.py FOLDER --checkout PADDLECLAS

``FOLDER/cases.npz`` holds logits ``NAME/scores`` and ``NAME/targets``, both ``(N, C)``, which the
metric is given in batches. ``FOLDER/results.json`` gets, by name and map type, the metric of all
classes (``mAP``) and that of each class alone (``AP``).
"""

import json

import numpy as np
import paddle
from peer_python import parse_arguments


def evaluate(map_type: str, scores: np.ndarray, targets: np.ndarray) -> float:
    from metric_cases import BATCH
    from ppcls.metric.metrics import MultiLabelMAP

    metric = MultiLabelMAP(map_type)
    for start in range(0, len(scores), BATCH):
        batch = (array[start : start + BATCH] for array in (scores, targets))
        metric(*(paddle.to_tensor(np.ascontiguousarray(array)) for array in batch))
    return float(metric.avg)


def main() -> None:
    args = parse_arguments(__doc__)
    cases = np.load(args.folder / 'cases.npz')
    results = {}
    for name in [key.removesuffix('/scores') for key in cases if key.endswith('/scores')]:
        scores, targets = cases[f'{name}/scores'], cases[f'{name}/targets']
        columns = range(scores.shape[1])
        results[name] = {
            map_type: dict(
                mAP=evaluate(map_type, scores, targets),
                AP=[evaluate(map_type, scores[:, [c]], targets[:, [c]]) for c in columns],
            )
            for map_type in ('integral', '11point')
        }
    versions = dict(paddleclas='develop', paddlepaddle=paddle.__version__)
    content = dict(versions=versions, results=results)
    (args.folder / 'results.json').write_text(json.dumps(content))


if __name__ == '__main__':
    main()
