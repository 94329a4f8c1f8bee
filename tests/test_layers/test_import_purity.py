import ast
import sys
from pathlib import Path

import pytest

import mmpretrain_mldecoder

PACKAGE = Path(mmpretrain_mldecoder.__file__).parent
ALLOWED = {'layers': {'torch'}, 'evaluation/functional': {'numpy'}}
FILES = [(folder, path) for folder in ALLOWED for path in sorted((PACKAGE / folder).rglob('*.py'))]


def foreign_imports(source, allowed, depth=0):
    """Names that a file imports from outside; ``depth`` folders lie between it and its root."""
    foreign = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [node.module]
        elif isinstance(node, ast.ImportFrom) and node.level > depth + 1:
            foreign.append('.' * node.level + (node.module or ''))
            continue
        else:
            continue
        foreign += [
            name for name in names if name.split('.')[0] not in allowed | sys.stdlib_module_names
        ]
    return foreign


@pytest.mark.parametrize(
    ('folder', 'path'), FILES, ids=[str(path.relative_to(PACKAGE)) for _, path in FILES]
)
def test_math_knows_torch_or_numpy_only(folder, path):
    depth = len(path.relative_to(PACKAGE / folder).parts) - 1
    assert foreign_imports(path.read_text(encoding='utf-8'), ALLOWED[folder], depth) == []


def test_every_folder_has_files():
    assert {folder for folder, _ in FILES} == set(ALLOWED)


def test_foreign_imports_are_seen():
    source = 'import torch.nn, mmengine\nfrom .a import b\nfrom ..a import b\ndef f():\n import cv2'
    assert foreign_imports(source, {'torch'}) == ['mmengine', '..a', 'cv2']
    assert foreign_imports('from ..a import b', {'torch'}, depth=1) == []
