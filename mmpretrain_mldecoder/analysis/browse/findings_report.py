"""Findings about a dataset: their text, as a table and as JSON."""

import json
import os
from collections.abc import Collection, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ...fileio.atomic_write import atomic_write
from ...fileio.terminal import printable
from .dataset_findings import FINDING_WORDS, Finding
from .dataset_split import DatasetSplit


def print_findings(
    findings: Sequence[Finding],
    splits: Sequence[DatasetSplit],
    looked_for: Collection[str],
    console: Console,
) -> None:
    """Print one row a kind of finding: how many in each split, an example, what it means.

    Args:
        findings: Of all splits.
        splits: Which were looked at.
        looked_for (Collection[str]): Codes that could have been found.
        console (Console): Where to.
    """
    table = Table(title='findings', title_justify='left')
    table.add_column('finding, first of them')
    for split in splits:
        table.add_column(split.name, justify='right')
    table.add_column('what it means  →  way out')
    for code, words in FINDING_WORDS.items():
        found = [finding for finding in findings if finding.code == code]
        if not found:
            continue
        title = Text(
            words.title + ('' if not words.harmful else ' (!)'), 'bold' if words.harmful else ''
        )
        title.append('\n' + printable(_example(found[0])), 'dim')
        table.add_row(
            title,
            *(_count(found, split.name) for split in splits),
            Text(f'{words.meaning}  →  {words.way_out}'),
        )
        table.add_section()
    if table.row_count:
        console.print(table)
    if any(finding.is_harmful for finding in findings):
        console.print('(!) spoils a training or its scores')
    found = {finding.code for finding in findings}
    for heading, codes in (
        ('not found', [code for code in looked_for if code not in found]),
        ('not looked for', [code for code in FINDING_WORDS if code not in looked_for]),
    ):
        if codes:
            titles = [FINDING_WORDS[code].title for code in codes]
            console.print(f'[bold]{heading}:[/bold] {", ".join(titles)}')


def _count(found: Sequence[Finding], name: str) -> str:
    """Count what concerns a split; an image in several splits is counted in each of them."""
    count = sum(len(finding.entries) for finding in found if name in finding.splits)
    return f'{count:,}' if count else '-'


def _example(finding: Finding) -> str:
    """Write the first entry, short."""
    entry = finding.entries[0]
    if 'label' in entry:
        elsewhere = ', '.join(f'{name}: {count:,}' for name, count in entry['elsewhere'].items())
        return f'{entry["label"]} ({elsewhere})' if elsewhere else entry['label']
    if 'images' in entry:
        first, second = entry['images'][:2]
        paths = [os.path.join(p['split'], os.path.basename(p['path'])) for p in (first, second)]
        return f'{" = ".join(paths)} ({entry["how"]})'
    detail = f' ({entry["detail"]})' if entry['detail'] else ''
    return os.path.basename(entry['path']) + detail


def write_findings(
    findings: Sequence[Finding], splits: Sequence[DatasetSplit], out: str | os.PathLike
) -> Path:
    """Write everything that was found, and the counts of the labels, as JSON.

    Args:
        findings: Of all splits.
        splits: Which were looked at.
        out (str | PathLike): The JSON; it appears when it is complete.

    Returns:
        Path: ``out``.
    """
    content = dict(
        splits={
            split.name: dict(
                images=len(split.paths),
                labels=len(split.labels.labels),
                images_with_label=dict(
                    zip(
                        split.classes,
                        split.labels.counts(len(split.classes)).tolist(),
                        strict=True,
                    )
                ),
            )
            for split in splits
        },
        findings=[
            dict(
                code=finding.code,
                splits=finding.splits,
                harmful=finding.is_harmful,
                count=len(finding.entries),
                entries=finding.entries,
            )
            for finding in findings
        ],
    )
    with atomic_write(out) as path:
        path.write_text(json.dumps(content, indent=1, ensure_ascii=False), encoding='utf-8')
    return Path(out)
