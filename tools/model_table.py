"""Print the result tables in Markdown: python tools/model_table.py [--results FOLDER].

Parameters and FLOPs are counted from the configs, published numbers come from the metafiles, and
ours from the test_<time>.json of tools/test.py below FOLDER: the newest of each row. The READMEs
print those below docs/results: to print a number there, copy its file to that folder and call
    python tools/model_table.py --results docs/results \
        --update README.md README_zh-CN.md configs/mldecoder/README.md
"""

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console
from rich.progress import track

from mmpretrain_mldecoder.analysis.model_table.model_cost import image_side, model_cost
from mmpretrain_mldecoder.analysis.model_table.model_table import (
    TABLES,
    TITLES,
    markdown_table,
    replace_tables,
)
from mmpretrain_mldecoder.analysis.model_table.table_rows import newest_results, read_rows
from mmpretrain_mldecoder.fileio.atomic_write import atomic_write
from mmpretrain_mldecoder.registration import find_model_index


def parse_args(argv: list[str] | None) -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    """Declare and read the arguments."""
    parser = argparse.ArgumentParser(description='Print the result tables in Markdown.')
    parser.add_argument(
        '--results',
        type=Path,
        metavar='FOLDER',
        help='where finished tests are looked for (default: work_dirs, if it is there)',
    )
    parser.add_argument('--lang', choices=[*TITLES], default='en', help='of what is printed')
    parser.add_argument(
        '--update',
        nargs='+',
        type=Path,
        default=[],
        metavar='FILE.md',
        help='instead of printing, write the tables between the markers of these pages anew',
    )
    return parser, parser.parse_args(argv)


def note(text: str) -> None:
    """Say something beside the tables."""
    print(text, file=sys.stderr)


def main(argv: list[str] | None = None) -> None:
    """Print or update the tables."""
    parser, args = parse_args(argv)
    if args.results and not args.results.is_dir():
        parser.error(f'no folder at {args.results}')
    if find_spec('timm') is None:
        parser.error("the authors' TResNets are timm's: pip install 'mmpretrain_mldecoder[timm]'")
    index = find_model_index()
    if index is None:
        parser.error('no model-index.yml: the package was copied without its configs')
    rows = read_rows(index)
    results = newest_results(rows, args.results or Path('work_dirs'), note)
    progress = Console(stderr=True)
    costs = {
        row.name: model_cost(row.cfg, image_side(row.cfg))
        for row in track(rows, 'counting FLOPs', console=progress, transient=True)
    }
    if not args.update:
        root = index.parent
        tables = (markdown_table(n, args.lang, rows, costs, results, root) for n in TABLES)
        print('\n'.join(tables), end='')
    for page in args.update:
        try:
            text = page.read_text(encoding='utf-8')
            text = replace_tables(text, rows, costs, results, page.resolve().parent)
        except (OSError, ValueError) as error:
            parser.error(f'{page}: {error}')
        with atomic_write(page) as path:
            path.write_text(text, encoding='utf-8')


if __name__ == '__main__':
    main()
