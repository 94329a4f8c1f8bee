"""What ``import mmpretrain_mldecoder`` adds to ``import mmpretrain``, each in a new interpreter."""

import subprocess
import sys

from comparison import Comparison, argument_parser, report

_SCRIPT = (
    'import time, mmpretrain\n'
    'start = time.perf_counter()\n'
    'import {module}\n'
    'print(time.perf_counter() - start)\n'
)


def seconds_on_top(module: str, repeats: int) -> float:
    """Return the fewest seconds that importing ``module`` takes after ``mmpretrain``."""
    command = [sys.executable, '-c', _SCRIPT.format(module=module)]
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
            what='the same with all that is registered, as a training needs it',
            ours=seconds_on_top(
                'mmpretrain_mldecoder, mmpretrain.models, mmpretrain.datasets, '
                'mmpretrain.evaluation',
                args.repeats,
            ),
            unit='s',
            peer=seconds_on_top(
                'mmpretrain.models, mmpretrain.datasets, mmpretrain.evaluation', args.repeats
            ),
            peer_name="MMPretrain's own parts",
        ),
    ]
    report('import_time', rows, args.out, ('mmpretrain', 'mmengine', 'torch'))


if __name__ == '__main__':
    main()
