"""What ``import mmpretrain_mldecoder`` adds to ``import mmpretrain``, each in a new interpreter."""

import subprocess
import sys

from comparison import Comparison, argument_parser, report

PARTS = 'mmpretrain, mmpretrain.models, mmpretrain.datasets, mmpretrain.evaluation'

_SCRIPT = (
    'import time, {after}\n'
    'start = time.perf_counter()\n'
    'import {module}\n'
    'print(time.perf_counter() - start)\n'
)


def seconds_on_top(module: str, repeats: int, after: str = 'mmpretrain') -> float:
    """Return the fewest seconds that importing ``module`` takes after others."""
    command = [sys.executable, '-c', _SCRIPT.format(module=module, after=after)]
    return min(
        float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        for _ in range(repeats)
    )


def main() -> None:
    """Measure and report."""
    parser = argument_parser(__doc__)
    parser.add_argument('--repeats', type=int, default=5, help='interpreters a row')
    args = parser.parse_args()
    rows = [
        Comparison(
            what='import mmpretrain_mldecoder, on top of import mmpretrain',
            ours=seconds_on_top('mmpretrain_mldecoder', args.repeats),
            unit='s',
            goal=0.3,
        ),
        Comparison(
            what='all of it, on top of the parts of MMPretrain that a training imports',
            ours=seconds_on_top('mmpretrain_mldecoder', args.repeats, after=PARTS),
            unit='s',
        ),
    ]
    report('import_time', rows, args.out, ('mmpretrain', 'mmengine', 'torch'))


if __name__ == '__main__':
    main()
