"""Find labels that may be wrong, decide, and correct them: mldecoder audit RUN.

RUN is the folder of a run of mldecoder start. The page downloads decisions.json, for --apply.
"""

import argparse
from pathlib import Path

from mmpretrain_mldecoder.errors import OpenQuestion, exit_on_error
from mmpretrain_mldecoder.fileio.terminal import one_line
from mmpretrain_mldecoder.start.audit import apply_decisions, audit
from mmpretrain_mldecoder.start.questions import as_option
from mmpretrain_mldecoder.start.stages import RunFolder


def main(argv: list[str] | None = None) -> None:
    """Audit, or apply what was decided."""
    parser = argparse.ArgumentParser(description='Find labels that may be wrong.')
    add = parser.add_argument
    add('run', type=Path, help='folder of a run of mldecoder start')
    add('--most', type=int, default=1000, help='suspicions on the page; default: 1000')
    add('--apply', type=Path, metavar='DECISIONS.json', help='write corrected label files')
    args = parser.parse_args(argv)
    with exit_on_error('the same command continues; features are kept'):
        try:
            run = RunFolder.open(args.run)
            if args.apply:
                apply_decisions(run, args.apply)
            else:
                audit(run, args.most)
        except OpenQuestion as question:
            parser.exit(2, f'{parser.prog}: {as_option(question)}\n')
        except (ImportError, OSError, ValueError) as error:
            parser.error(one_line(error))


if __name__ == '__main__':
    main()
