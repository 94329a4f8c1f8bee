"""Time PaddleClas' ``MultiLabelMAP`` (Paddle's interpreter).

    python tests/peers/paddle_metric_seconds.py FOLDER --checkout PADDLECLAS

``FOLDER/case.npz`` holds logits ``scores`` and ``targets``, both ``(N, C)``.
``FOLDER/seconds.json`` gets the seconds of one evaluation and its ``mAP``.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
from paddle_metric import evaluate, metric_class


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('folder', type=Path)
    parser.add_argument('--checkout', type=Path, required=True)
    args = parser.parse_args()
    metric = metric_class(args.checkout)('integral')
    case = np.load(args.folder / 'case.npz')
    scores, targets = case['scores'], case['targets']
    start = time.perf_counter()
    mean_ap = evaluate(metric, scores, targets)
    seconds = time.perf_counter() - start
    (args.folder / 'seconds.json').write_text(json.dumps(dict(seconds=seconds, mAP=mean_ap)))


if __name__ == '__main__':
    main()
