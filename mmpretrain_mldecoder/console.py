"""The command ``mldecoder``: the programs of ``tools/``, where only the package is installed."""

import os
import runpy
import select
import sys
from pathlib import Path

TOOLS = Path(__file__).parent / '.mim' / 'tools'
COMMANDS = {
    'start': 'start.py',
    'train': 'train.py',
    'test': 'test.py',
    'infer': 'infer.py',
    'report': 'report.py',
    'export': 'export_onnx.py',
    'thresholds': 'analysis_tools/tune_thresholds.py',
    'browse': 'dataset_tools/browse.py',
    'audit': 'audit.py',
    'resize': 'dataset_tools/resize.py',
    'convert': 'convert_weights.py',
    'demo': 'demo.py',
    'web': 'demo_app.py',
}
"""The program of each subcommand, in ``TOOLS``."""


def main(argv: list[str] | None = None) -> None:
    """Run the program of a subcommand with the arguments after it, or list the subcommands."""
    try:
        try:
            _run(sys.argv[1:] if argv is None else argv)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        output = select.poll()
        output.register(sys.stdout, 0)
        if not output.poll(0):
            raise  # of another pipe
        # Whoever read it, such as head, has read enough. Python flushes once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)  # what a shell reports of a program that SIGPIPE ended
    except KeyboardInterrupt:
        print('interrupted', file=sys.stderr)
        sys.exit(130)  # and of one that Ctrl-C ended


def _run(arguments: list[str]) -> None:
    name = arguments[0] if arguments else '--help'
    if name in ('-h', '--help'):
        print('usage: mldecoder COMMAND [arguments]; mldecoder COMMAND --help lists them\n')
        for each in COMMANDS:
            print(f'  {each:12}{_about(each)}')
        return
    if name not in COMMANDS:
        raise SystemExit(f'mldecoder has no command {name!r}, but {", ".join(COMMANDS)}')
    sys.argv[0] = f'mldecoder {name}'  # what argparse prints as the program
    result = runpy.run_path(str(TOOLS / COMMANDS[name]))['main'](arguments[1:])
    if isinstance(result, int):
        sys.exit(result)


def _about(name: str) -> str:
    """Return the first sentence of a program, without its command line."""
    first = (TOOLS / COMMANDS[name]).read_text(encoding='utf-8').partition('\n')[0]
    return first.strip('"').split(':')[0].rstrip('.')


if __name__ == '__main__':
    main()
