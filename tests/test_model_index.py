"""Each in a fresh process: what is registered, stays."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROWS = sorted(
    f'{folder}_{path.stem}'
    for folder in ('imagenet', 'linear', 'mldecoder')
    for path in (ROOT / 'configs' / folder).glob('*.py')
)


def python(script: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess:
    done = subprocess.run(
        [sys.executable, '-W', 'ignore::DeprecationWarning', '-c', script],
        cwd=cwd,
        env=os.environ | dict(OMP_NUM_THREADS='1') | environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.parametrize('where', ['installed', 'copied'])
def test_rows_are_known_after_the_import(where, tmp_path):
    """As installed here, and from a checkout that pip has never seen."""
    if where == 'copied':
        (tmp_path / 'mmpretrain_mldecoder').mkdir()
        for path in (ROOT / 'mmpretrain_mldecoder').iterdir():
            if path.name != '.mim':
                (tmp_path / 'mmpretrain_mldecoder' / path.name).symlink_to(path)
        for name in ('configs', 'model-index.yml'):
            (tmp_path / name).symlink_to(ROOT / name)
    script = (
        'import mmpretrain, mmpretrain_mldecoder\n'
        'import importlib\n'
        'importlib.reload(mmpretrain_mldecoder)\n'
        'from mmpretrain import get_model, list_models\n'
        "print(*(n for p in ('imagenet_', 'linear_', 'mldecoder_') for n in list_models(p)))\n"
        "model = get_model('mldecoder_r50vd_ssld_coco')\n"
        'print(type(model.backbone).__name__, model.head.num_classes)\n'
    )
    done = python(script, tmp_path, PYTHONPATH=str(tmp_path) if where == 'copied' else '')
    names, model = done.stdout.splitlines()[-2:]
    assert sorted(names.split()) == ROWS
    assert model == 'ResNetVd 80'
    assert 'conflict' not in done.stderr


def test_index_registered_by_hand_before(tmp_path):
    script = (
        'from mmpretrain.apis.model import ModelHub\n'
        f'ModelHub.register_model_index({str(ROOT / "model-index.yml")!r}, {str(ROOT)!r})\n'
        'import mmpretrain_mldecoder\n'
        "print(ModelHub.get('mldecoder_r50_coco').config.model.head.type)\n"
    )
    done = python(script, tmp_path)
    assert done.stdout.splitlines()[-1] == 'MLDecoderHead'
    assert 'is conflict in' in done.stderr
    assert 'need not be called' in done.stderr


def test_package_without_its_configs(tmp_path):
    """Only the folder of Python files was copied: the rest works."""
    package = tmp_path / 'mmpretrain_mldecoder'
    script = (
        'from pathlib import Path\n'
        'from mmpretrain_mldecoder import registration\n'
        f'registration.PACKAGE = Path({str(package)!r})\n'
        'registration._register_model_index.cache_clear()\n'
        'assert registration.find_model_index() is None\n'
        'registration._register_model_index()\n'
    )
    python(script, tmp_path)
