"""Time PaddleClas' ``MultiLabelMAP`` (Paddle's interpreter).

    python tests/peers/paddle_metric_seconds.py FOLDER --checkout PADDLECLAS

``FOLDER/case.npz`` holds logits ``scores`` and ``targets``, both ``(N, C)``.
``FOLDER/seconds.json`` gets the seconds of one evaluation and its ``mAP``.
"""

import json
import time

import numpy as np
from paddle_metric import evaluate
from peer_python import parse_arguments


def main() -> None:
    args = parse_arguments(__doc__)
    import ppcls.metric  # noqa: F401  ahead of the clock

    case = np.load(args.folder / 'case.npz')
    scores, targets = case['scores'], case['targets']
    start = time.perf_counter()
    mean_ap = evaluate('integral', scores, targets)
    seconds = time.perf_counter() - start
    (args.folder / 'seconds.json').write_text(json.dumps(dict(seconds=seconds, mAP=mean_ap)))


if __name__ == '__main__':
    main()
