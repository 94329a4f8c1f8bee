"""Edits of label files: what is not changed stays as it is, byte by byte where lines are rows."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

Changes = Callable[[str], Mapping[str, int]]
"""The labels to change of an image, as the file names it: 1 or 0 by class; mostly none."""


def edit_names(
    names: Sequence[str], changes: Mapping[str, int], no_label: Sequence[str] | None
) -> list[str]:
    """Return labels with some added and others removed; ``no_label`` are names of none."""
    kept = [name for name in names if changes.get(name.strip(), 1)]
    edited = [*dict.fromkeys([*kept, *(name for name, value in changes.items() if value)])]
    labels = [name for name in edited if name not in (no_label or ())]
    return labels or list((no_label or ())[:1])


def edit_rows(text: str, delimiter: str, edit: Callable[[int, list[str]], list[str]]) -> str:
    """Return CSV text in which rows that ``edit`` changes are written again.

    ``edit`` takes the number of a row, blank ones not counted, and its cells.
    """
    raw: list[str] = []

    def lines() -> Iterator[str]:
        for line in io.StringIO(text, newline=''):
            raw.append(line)
            yield line

    edited, number = [], 0
    for row in csv.reader(lines(), delimiter=delimiter, skipinitialspace=True):
        own = ''.join(raw)
        raw.clear()
        if any(cell.strip() for cell in row):
            if (changed := edit(number, row)) != row:
                end = own[len(own.rstrip('\r\n')) :]
                buffer = io.StringIO(newline='')
                csv.writer(buffer, delimiter=delimiter, lineterminator=end).writerow(changed)
                own = buffer.getvalue()
            number += 1
        edited.append(own)
    return ''.join(edited)


def edit_json(text: str, edit: Callable[[Any], object]) -> str:
    """Return JSON whose content ``edit`` has changed in place, indented as it was."""
    content = json.loads(text)
    edit(content)
    indent = re.match(r'\s*[\[{]\r?\n([ \t]*)', text)
    compact = None if indent or re.search(r'[,:] ', text[:1000]) else (',', ':')
    return json.dumps(
        content,
        indent=indent and indent[1],
        separators=compact,
        ensure_ascii=text.isascii(),
    )


def edit_json_lines(text: str, edit: Callable[[Any], object]) -> str:
    """Return JSON lines; those whose object ``edit`` changes in place are written again."""
    lines = text.split('\n')
    for number, line in enumerate(lines):
        if line.strip():
            record, before = json.loads(line), json.loads(line)
            edit(record)
            if record != before:
                end = line[len(line.rstrip()) :]
                lines[number] = json.dumps(record, ensure_ascii=line.isascii()) + end
    return '\n'.join(lines)
