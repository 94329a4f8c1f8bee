"""The floors of the package: imports point one way, and math knows nothing but its library."""

import ast
import sys
from pathlib import Path

import pytest

import mmpretrain_mldecoder

PACKAGE = Path(mmpretrain_mldecoder.__file__).parent
# From the bottom up: a file imports from its own floor and from those above it in this list.
FLOORS = (
    'fileio',
    'errors',
    'layers',
    'models',
    'evaluation',
    'datasets',
    'visualization',
    'checkpoints',
    'engine',
    'apis',
    'analysis',
    'start',
    'console',
)
ROOMS_OF_ENGINE = ('distributed', 'optimizers', 'schedulers', 'hooks', 'checks', 'runners')
# What runs where only one library is installed.
PURE = {'layers': 'torch', 'evaluation/functional': 'numpy'}


def imported(source: str, module: tuple[str, ...]) -> set[tuple[str, ...]]:
    """Absolute names that a module imports, in functions too; ``module`` is its own name."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {tuple(alias.name.split('.')) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = module[: len(module) - node.level] if node.level else ()
            base += tuple((node.module or '').split('.')) if node.module else ()
            names |= {(*base, alias.name) for alias in node.names}
    return names


def all_imports() -> dict[tuple[str, ...], set[tuple[str, ...]]]:
    """What each module of the package imports, by the parts of its name below the package."""
    found = {}
    for path in sorted(PACKAGE.rglob('*.py')):
        parts = path.relative_to(PACKAGE.parent).with_suffix('').parts
        if '.mim' not in parts:  # links of an editable installation
            found[parts[1:]] = imported(path.read_text(encoding='utf-8'), parts)
    return found


def own(names: set[tuple[str, ...]]) -> set[tuple[str, ...]]:
    return {name[1:] for name in names if name[0] == PACKAGE.name and len(name) > 1}


IMPORTS = all_imports()


def test_every_folder_is_a_floor():
    floors = {module[0] for module in IMPORTS} - {'__init__', 'registration', 'version'}
    assert floors == set(FLOORS)
    assert {module[1] for module in IMPORTS if module[0] == 'engine'} == {
        '__init__',
        *ROOMS_OF_ENGINE,
    }


def test_imports_point_one_way():
    upwards = [
        (module, name)
        for module, names in IMPORTS.items()
        for name in own(names)
        if module[0] in FLOORS and name[0] in FLOORS
        if FLOORS.index(name[0]) > FLOORS.index(module[0])
    ]
    assert upwards == []


def test_imports_in_engine_point_one_way():
    rooms = ROOMS_OF_ENGINE
    upwards = [
        (module, name)
        for module, names in IMPORTS.items()
        for name in own(names)
        if module[0] == name[0] == 'engine' and module[1] in rooms and name[1:2] != ()
        if name[1] in rooms and rooms.index(name[1]) > rooms.index(module[1])
    ]
    assert upwards == []


def test_no_two_folders_import_each_other():
    folders = {module[:-1] for module in IMPORTS}

    def folder(name):
        return next(name[:n] for n in range(len(name), -1, -1) if name[:n] in folders or n == 0)

    arrows = {
        (module[:-1], folder(name))
        for module, names in IMPORTS.items()
        for name in own(names)
        if module[-1] != '__init__'  # which exports what lies below it
    }
    mutual = {(a, b) for a, b in arrows if a < b and (b, a) in arrows}
    nested = {(a, b) for a, b in mutual if b[: len(a)] == a}
    assert mutual - nested == set()


@pytest.mark.parametrize('folder', PURE)
def test_math_knows_one_library(folder):
    room = tuple(folder.split('/'))
    modules = [module for module in IMPORTS if module[: len(room)] == room]
    assert modules
    for module in modules:
        outside = {
            n for n in IMPORTS[module] if n[1 : 1 + len(room)] != room or n[0] != PACKAGE.name
        }
        foreign = {n for n in outside if n[0] not in {PURE[folder], *sys.stdlib_module_names}}
        assert foreign == set(), module


def test_nothing_is_registered_for_a_higher_floor():
    # A registered name in place of an import would hide an arrow.
    defined = {}
    for path in sorted(PACKAGE.rglob('*.py')):
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            if isinstance(node, ast.ClassDef):
                defined[node.name] = path.relative_to(PACKAGE).parts[0].removesuffix('.py')
    for path in sorted(PACKAGE.rglob('*.py')):
        floor = path.relative_to(PACKAGE).parts[0].removesuffix('.py')
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                name = node.value.removeprefix('mmpretrain.')
                if name != node.value and name in defined and floor in FLOORS:
                    assert FLOORS.index(defined[name]) <= FLOORS.index(floor), (path, name)


def test_imports_are_seen():
    source = 'import a.b\nfrom .c import d\nfrom ..e import f\ndef g():\n from x import y'
    assert imported(source, ('p', 'q', 'm')) == {
        ('a', 'b'), ('p', 'q', 'c', 'd'), ('p', 'e', 'f'), ('x', 'y'),
    }  # fmt: skip
