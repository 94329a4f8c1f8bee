"""Train on a folder of labelled images, from labels to an exported model: mldecoder start DATA.

Stopped at any point, the same command continues.
"""

import argparse
from pathlib import Path

from mmpretrain_mldecoder.errors import OpenQuestion, exit_on_error
from mmpretrain_mldecoder.fileio.terminal import one_line
from mmpretrain_mldecoder.start.questions import add_answers, as_option, read_answers
from mmpretrain_mldecoder.start.run_config import ABSENT, LEFT_OUT, ROWS
from mmpretrain_mldecoder.start.stages import RunFolder, train_and_export, write_inputs
from mmpretrain_mldecoder.start.summary import summary


def main(argv: list[str] | None = None) -> None:
    """Go through all stages."""
    usage = '%(prog)s DATA [--out RUN] [options]'  # of all, an error would be out of sight
    parser = argparse.ArgumentParser(usage=usage, description=__doc__.partition(':')[0])
    add = parser.add_argument
    add('data', type=Path, help='folder with the images and, unless --labels names it, the labels')
    add('--out', type=Path, help='folder of the run; default: work_dirs/start/NAME OF DATA')
    rows = sorted(path.stem for path in ROWS.glob('*.py'))
    add('--row', choices=rows, help='what to train; default: by the device')
    add('--epochs', type=int, help='default: by the number of images')
    add('--batch-size', type=int, help='default: 32, or what fits')
    add(
        '--unknown',
        choices=[LEFT_OUT, ABSENT],
        help='what unknown labels count as; default: by the known ones',
    )
    add('--seed', type=int, default=0, help='of the split into train, val and test')
    add('--dry-run', action='store_true', help='stop when labels and config are written')
    add_answers(parser)
    args = parser.parse_args(argv)
    for option, value in (('--epochs', args.epochs), ('--batch-size', args.batch_size)):
        if value is not None and value < 1:
            parser.error(f'{option} must be at least 1, got {value}')
    settings = vars(args) | dict(data=str(args.data.resolve()))
    out = settings.pop('out') or Path('work_dirs/start', args.data.resolve().name)
    dry_run = settings.pop('dry_run')
    with exit_on_error(f'the same command continues; {out} has what is finished'):
        try:
            run = RunFolder(out, settings)
            write_inputs(run, args.data, read_answers(args))
        except OpenQuestion as question:
            parser.exit(2, f'{parser.prog}: {as_option(question)}\n')
        except (ImportError, OSError, ValueError) as error:
            parser.error(one_line(error))
        print(f'{run.config} has what was chosen and why')
        if not dry_run:
            train_and_export(run)
            print(summary(run))


if __name__ == '__main__':
    main()
