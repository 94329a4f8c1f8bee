"""What a user installs: the wheel and its requirements."""

import re
import shutil
import subprocess
import sys
import zipfile
from email import message_from_string
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = ('mmpretrain_mldecoder', 'configs', 'tools')
FILES = ('setup.py', 'pyproject.toml', 'MANIFEST.in', 'README.md', 'model-index.yml', 'LICENSE')


@pytest.fixture(scope='module')
def wheel(tmp_path_factory) -> zipfile.ZipFile:
    """A wheel of a copy of the sources, as ``pip install .`` builds it, without network."""
    folder = tmp_path_factory.mktemp('wheel')
    for name in SOURCES:
        shutil.copytree(
            ROOT / name, folder / name, ignore=shutil.ignore_patterns('__pycache__', '.mim')
        )
    for name in FILES:
        shutil.copy2(ROOT / name, folder)
    command = [sys.executable, '-m', 'pip', 'wheel', '-q', '--no-deps', '--no-build-isolation']
    subprocess.run([*command, '-w', str(folder), str(folder)], check=True, capture_output=True)
    (path,) = folder.glob('*.whl')
    with zipfile.ZipFile(path) as opened:
        yield opened


def test_configs_and_tools_travel_in_mim(wheel):
    packed = set(wheel.namelist())
    for folder in ('configs', 'tools'):
        for path in (ROOT / folder).rglob('*'):
            if path.is_file() and '__pycache__' not in path.parts:
                assert f'mmpretrain_mldecoder/.mim/{path.relative_to(ROOT)}' in packed
    assert 'mmpretrain_mldecoder/.mim/model-index.yml' in packed


def test_rows_are_known_by_name_from_the_wheel(run_script, wheel, tmp_path):
    wheel.extractall(tmp_path)
    printed = run_script(
        f'import sys; sys.path.insert(0, {str(tmp_path)!r})\n'
        'import mmpretrain_mldecoder\n'
        'from mmpretrain.apis.model import ModelHub, list_models\n'
        "print(ModelHub.get('mldecoder_r50vd_ssld_coco').config.filename)\n"
        "print(*list_models('*mldecoder*'))\n"
    )
    *_, config, names, _ = printed.splitlines()
    mim = tmp_path.resolve() / 'mmpretrain_mldecoder' / '.mim'
    assert config == str(mim / 'configs/mldecoder/r50vd_ssld_coco.py')
    rows = (ROOT / 'configs/mldecoder').glob('*.py')
    assert names.split() == sorted(f'mldecoder_{path.stem}' for path in rows)


def test_the_command_runs_the_tools_of_the_wheel(run_script, wheel, tmp_path):
    wheel.extractall(tmp_path)
    (entry,) = tmp_path.glob('*.dist-info/entry_points.txt')
    assert 'mldecoder = mmpretrain_mldecoder.console:main' in entry.read_text()
    printed = run_script(
        f'import runpy, sys; sys.path.insert(0, {str(tmp_path)!r})\n'
        "sys.argv = ['mldecoder', 'convert', '--help']\n"
        'try:\n'
        "    runpy.run_module('mmpretrain_mldecoder.console', run_name='__main__')\n"
        'except SystemExit as end:\n'
        '    assert end.code == 0\n'
        'else:\n'
        '    raise AssertionError\n'
    )
    assert 'usage: mldecoder convert' in printed


def test_no_host_package_is_required_outside_the_extras(wheel):
    """Or pip would lay mmcv over mmcv-lite, or the originals over the forks."""
    (path,) = (name for name in wheel.namelist() if name.endswith('METADATA'))
    metadata = message_from_string(wheel.read(path).decode())
    requirements = metadata.get_all('Requires-Dist')
    always = [line for line in requirements if 'extra ==' not in line]
    assert any(line.startswith('torch') for line in always)
    assert not any('mm' in line.partition('>')[0] or 'opencv' in line for line in always)
    assert {'lite', 'onedl'} <= set(metadata.get_all('Provides-Extra'))
    for stack in ('lite', 'onedl'):
        brought = [line for line in requirements if re.search(f'extra == .{stack}', line)]
        assert any(line.startswith('pycocotools') for line in brought), stack
