"""What the tests of the documentation share: its pages, and their code blocks and tables."""

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    str(path.relative_to(ROOT))
    for pattern in ('*.md', 'docs/*.md', 'configs/*/README.md')
    for path in ROOT.glob(pattern)
)


class CodeBlock(NamedTuple):
    """A fenced block; ``test`` is what an HTML comment ``<!-- test: ... -->`` above it says."""

    test: str
    language: str
    code: str


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding='utf-8')


def code_blocks(page: str) -> list[CodeBlock]:
    pattern = r'^(?:<!-- test: (.*?) -->\n)?```(\w+)\n(.*?)^```$'
    return [CodeBlock(*m.groups('')) for m in re.finditer(pattern, read(page), re.M | re.S)]


def without_code(page: str) -> str:
    return re.sub(r'^```.*?^```$', '', read(page), flags=re.M | re.S)


def tables(page: str) -> list[list[list[str]]]:
    """Return each table as rows of cells, the header first, without the line below it."""
    found = re.findall(r'(?:^\|.*\|\n)+', without_code(page), re.M)
    return [
        [[cell.strip() for cell in line.strip('|').split('|')] for line in table.splitlines()]
        for table in (re.sub(r'^\|[ |-]+\|\n', '', table, flags=re.M) for table in found)
    ]
