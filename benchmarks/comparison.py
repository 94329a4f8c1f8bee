"""What all benchmarks share: timing in turn, one table, one JSON.

A benchmark is a program of this folder: ``python benchmarks/NAME.py [--out FOLDER]``. It times our
code and its peers in one run, prints a table and writes ``FOLDER/NAME.json``. Ratios are what to
look at: a number of seconds belongs to the machine, the ratio to the code.

``python benchmarks/comparison.py work_dirs/benchmarks`` prints what a folder holds as Markdown.
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from dataclasses import fields as dataclass_fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rich.console import Console
from rich.table import Table

from mmpretrain_mldecoder.fileio.atomic_write import write_file


@dataclass(frozen=True)
class Comparison:
    """One row of the table: ours beside a peer, and what we want of it.

    Attributes:
        what: What is measured, with its sizes.
        ours: Our figure, in ``unit``.
        unit: ``'s'``, ``'ms'``, ``'MB'`` (less is better) or one that ends in ``'/s'`` (more is
            better).
        peer: The peer's figure in the same unit; None if only a limit counts.
        peer_name: What it is compared with.
        goal: The ratio wanted where there is a peer (how many times better ours is), else the most
            that ``ours`` may be; None where nothing is asked for.
        note: What a reader must know beside the numbers, such as an error in grey levels.
    """

    what: str
    ours: float
    unit: str
    peer: float | None = None
    peer_name: str = ''
    goal: float | None = None
    note: str = ''

    @property
    def ratio(self) -> float | None:
        """How many times better ours is; None without a peer."""
        if self.peer is None:
            return None
        return self.ours / self.peer if self.unit.endswith('/s') else self.peer / self.ours

    @property
    def reached(self) -> bool | None:
        """Whether the goal is met; None without a goal."""
        if self.goal is None:
            return None
        return self.ours <= self.goal if self.ratio is None else self.ratio >= self.goal


def seconds_in_turn(
    functions: dict[str, Callable[[], object]], repeats: int = 5, warmup: int = 1
) -> dict[str, float]:
    """Return the fewest seconds of each function, called in turn.

    In turn, so that a machine that slows down for a while slows all of them; the fewest, because
    whatever disturbs a run only ever adds to it.

    Args:
        functions (dict[str, Callable]): What to time, by name.
        repeats (int): Timed rounds, at least 1. Defaults to 5.
        warmup (int): Rounds before that are not timed. Defaults to 1.
    """
    fewest = dict.fromkeys(functions, float('inf'))
    for i in range(warmup + repeats):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            elapsed = time.perf_counter() - start
            if i >= warmup:
                fewest[name] = min(fewest[name], elapsed)
    return fewest


def argument_parser(description: str) -> argparse.ArgumentParser:
    """Return a parser with the option that every benchmark has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        '--out', type=Path, default=Path('work_dirs/benchmarks'), help='folder of the JSON'
    )
    return parser


def report(
    name: str, comparisons: list[Comparison], folder: Path, packages: tuple[str, ...]
) -> Path:
    """Print the table and write it, with the machine and the versions, as JSON.

    Args:
        name (str): Name of the benchmark and of the file.
        comparisons (list[Comparison]): The rows.
        folder (Path): Where ``<name>.json`` goes; made if absent.
        packages (tuple[str]): Distributions whose versions matter.

    Returns:
        Path: The file written.
    """
    about = machine()
    versions = {package: _version(package) for package in packages}
    table = Table(title=name, title_justify='left')
    for title, justify in (
        ('what', 'left'),
        ('ours', 'right'),
        ('peer', 'right'),
        ('', 'left'),
        ('ratio', 'right'),
        ('goal', 'right'),
        ('', 'left'),
    ):
        table.add_column(title, justify=justify, overflow='fold')
    for row in comparisons:
        table.add_row(*cells(row))
    console = Console(width=None if os.isatty(1) else 160)
    console.print(table)
    for row in comparisons:
        if row.note:
            console.print(f'{row.what}: {row.note}', highlight=False)
    console.print(', '.join(f'{key} {value}' for key, value in about.items()), highlight=False)
    console.print(', '.join(f'{key} {value}' for key, value in versions.items()), highlight=False)

    rows = [asdict(row) | dict(ratio=row.ratio, reached=row.reached) for row in comparisons]
    content = dict(name=name, machine=about, versions=versions, rows=rows)
    path = folder / f'{name}.json'
    write_file(path, json.dumps(content, indent=2))
    console.print(f'written: {path}', highlight=False)
    return path


def cells(row: Comparison) -> tuple[str, str, str, str, str, str, str]:
    """Return a row as text: what, ours, peer, its name, ratio, goal, whether it is reached."""
    peer = '-' if row.peer is None else f'{_short(row.peer)} {row.unit}'
    ratio = '-' if row.ratio is None else f'{row.ratio:.2f} x'
    goal = '-'
    if row.goal is not None:
        goal = f'<= {row.goal:g} {row.unit}' if row.ratio is None else f'>= {row.goal:g} x'
    reached = {True: 'reached', False: 'not reached', None: ''}[row.reached]
    return row.what, f'{_short(row.ours)} {row.unit}', peer, row.peer_name, ratio, goal, reached


def _short(value: float) -> str:
    """Return three digits, or all of a larger number."""
    return f'{value:,.0f}' if value >= 1000 else f'{value:.3g}'


def markdown(folder: Path) -> str:
    """Return the rows of all JSONs of a folder as one Markdown table, by name of the benchmark."""
    lines = [
        '| benchmark | what | ours | peer | | ratio | goal | |',
        '| --- | --- | --- | --- | --- | --- | --- | --- |',
    ]
    for path in sorted(folder.glob('*.json')):
        for row in json.loads(path.read_text())['rows']:
            fields = {field.name: row[field.name] for field in dataclass_fields(Comparison)}
            lines.append(f'| {" | ".join([path.stem, *cells(Comparison(**fields))])} |')
    return '\n'.join(lines)


def machine() -> dict[str, str]:
    """Return what a reader needs to know of the machine."""
    return dict(
        processor=_processor(),
        cores=str(os.cpu_count()),
        system=platform.system(),
        python=platform.python_version(),
    )


def _processor() -> str:
    info = Path('/proc/cpuinfo')
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith('model name'):
                return line.partition(':')[2].strip()
    return platform.processor() or platform.machine()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return 'absent'


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=markdown.__doc__)
    parser.add_argument('folder', type=Path, help='what the benchmarks wrote to')
    print(markdown(parser.parse_args().folder))
