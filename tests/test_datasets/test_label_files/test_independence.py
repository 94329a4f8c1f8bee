import ast
from pathlib import Path

from mmpretrain_mldecoder.datasets import label_files
from mmpretrain_mldecoder.datasets.label_files import FORMATS


def test_no_reader_knows_another():
    folder = Path(label_files.__file__).parent
    readers = {format.read.__module__.rpartition('.')[2] for format in FORMATS.values()}
    for path in folder.glob('*.py'):
        if path.stem in ('formats', 'find_label_files'):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            if isinstance(node, ast.ImportFrom) and node.level == 1:
                known = {node.module, *(alias.name for alias in node.names)}
                assert not known & readers, f'{path.name} knows {known & readers}'
