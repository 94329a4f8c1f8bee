"""The functions of the metrics run where only NumPy is installed."""

import ast
import sys
from pathlib import Path

import pytest

import mmpretrain_mldecoder

FOLDER = Path(mmpretrain_mldecoder.__file__).parent / 'evaluation' / 'functional'


@pytest.mark.parametrize('path', sorted(FOLDER.glob('*.py')), ids=lambda path: path.name)
def test_functional_imports_numpy_only(path):
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level <= 1, f'{path.name} reaches out of its folder'
            names = [] if node.level else [node.module]
        else:
            continue
        for name in names:
            top = name.split('.')[0]
            assert top == 'numpy' or top in sys.stdlib_module_names, name
