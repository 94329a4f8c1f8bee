"""Print the result tables in Markdown: python tools/model_table.py [--results FOLDER].

Parameters and FLOPs are counted from the configs, published numbers come from the metafiles, and
ours from the newest test_<time>.json of tools/test.py for each row. To print a number in the
READMEs, copy its file to docs/results and call
    python tools/model_table.py --results docs/results \
        --update README.md README_zh-CN.md configs/mldecoder/README.md
"""

import argparse
import sys
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console
from rich.progress import track

from mmpretrain_mldecoder.analysis import model_table
from mmpretrain_mldecoder.registration import find_model_index


def main(argv: list[str] | None = None) -> None:
    """Print or update the tables."""
    parser = argparse.ArgumentParser(description='Print the result tables in Markdown.')
    results = 'folder of finished tests (default: work_dirs, if it is there)'
    parser.add_argument('--results', type=Path, metavar='FOLDER', help=results)
    parser.add_argument('--lang', choices=model_table.LANGUAGES, help='of the tables; en')
    update = 'instead of printing, replace the tables between the markers of these pages'
    parser.add_argument('--update', nargs='+', type=Path, default=[], metavar='PAGE', help=update)
    args = parser.parse_args(argv)
    if args.update and args.lang:
        parser.error('--lang is of printed tables; pages that --update names have their own')
    if args.results and not args.results.is_dir():
        parser.error(f'no folder at {args.results}')
    if find_spec('timm') is None:
        parser.error("the authors' TResNets are timm's: pip install timm")
    index = find_model_index()
    if index is None:
        parser.error('no model-index.yml: the package was copied without its configs')
    rows = model_table.read_rows(index)
    note = partial(print, file=sys.stderr)
    results = model_table.newest_results(rows, args.results or Path('work_dirs'), note)
    for row in track(rows, 'counting FLOPs', console=Console(stderr=True), transient=True):
        row.cost  # noqa: B018  (cached)
    table = partial(model_table.markdown_table, rows=rows, results=results)
    if not args.update:
        arguments = dict(language=args.lang or 'en', folder=index.parent)
        print('\n'.join(table(name, **arguments) for name in model_table.TABLES), end='')
    for page in args.update:
        try:
            own = partial(table, folder=page.resolve().parent)
            model_table.update_page(page, 'model_table', own)
        except (OSError, ValueError) as error:
            parser.error(f'{page}: {error}')


if __name__ == '__main__':
    main()
