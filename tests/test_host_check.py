"""What a user reads where the host is missing or cannot be imported."""

import subprocess
import sys
import warnings
from importlib import metadata

import pytest

from mmpretrain_mldecoder.registration import _check_host as check_host


def test_missing_host_says_what_to_install():
    """With the host hidden from the import system, as on a machine that lacks it."""
    script = (
        'import sys, importlib.util as util\n'
        'find = util.find_spec\n'
        "util.find_spec = lambda name, *a: None if name == 'mmcv' else find(name, *a)\n"
        'import mmpretrain_mldecoder\n'
    )
    result = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True)
    assert result.returncode == 1
    assert 'mmcv cannot be imported' in result.stderr
    assert 'mmpretrain_mldecoder[lite]' in result.stderr
    assert 'mmpretrain_mldecoder[onedl]' in result.stderr


@pytest.mark.parametrize(
    ('transformers', 'pycocotools', 'warned'),
    [
        ('5.0.1', '2.0.10', True),
        ('4.57.0', '2.0.10', False),
        ('5.0.1', None, False),
        (None, '2.0.10', False),
    ],
)
def test_newer_transformers_beside_pycocotools(monkeypatch, transformers, pycocotools, warned):
    installed = dict(transformers=transformers, pycocotools=pycocotools)

    def version(package):
        if installed[package] is None:
            raise metadata.PackageNotFoundError(package)
        return installed[package]

    monkeypatch.setattr(metadata, 'version', version)
    if warned:
        with pytest.warns(UserWarning, match=r'5\.0\.1.*Uninstall one of the two'):
            check_host()
    else:
        with warnings.catch_warnings():
            warnings.simplefilter('error')
            check_host()
