"""No code of ours runs what a file says, but where a reason stands here."""

from pathlib import Path

from unsafe_calls import unsafe_calls

ROOT = Path(__file__).parents[1]
FILES = sorted(
    path
    for folder in ('mmpretrain_mldecoder', 'tools', 'examples', 'benchmarks', 'docs', 'configs')
    for path in (ROOT / folder).rglob('*.py')
)
ALLOWED = {
    'mmpretrain_mldecoder/apis/export/formats.py': {
        'torch.export.load': 'of the archive that the same call has just written, to compare it',
    },
    'mmpretrain_mldecoder/__init__.py': {
        'importlib.import_module': 'of subpackages of ours, by a fixed list',
    },
    'mmpretrain_mldecoder/datasets/image_header.py': {
        'importlib.import_module': 'of packages that add formats to Pillow, by a fixed list',
    },
    'examples/onnx_predict.py': {
        'importlib.import_module': 'of packages that add formats to Pillow, by a fixed list',
    },
    'mmpretrain_mldecoder/engine/runners/trackers.py': {
        'importlib.import_module': 'of two trackers, by names that are written there',
    },
    'mmpretrain_mldecoder/registration.py': {
        'importlib.import_module': 'of subpackages of ours, by a fixed list',
    },
}


def test_every_call_that_could_run_a_file_has_a_reason():
    found = {str(path.relative_to(ROOT)): unsafe_calls(path.read_text('utf-8')) for path in FILES}
    found = {path: sorted(set(calls)) for path, calls in found.items() if calls}
    assert found == {path: sorted(reasons) for path, reasons in ALLOWED.items()}


SEEN = {
    'import torch\ntorch.load(a)': 'torch.load without weights_only=True',
    'import torch as t\nt.load(a, weights_only=False)': 'torch.load without weights_only',
    'import torch\ntorch.load(a, weights_only=safe)': 'torch.load without weights_only',
    'from torch import load\nload(a)': 'torch.load without weights_only=True',
    'from pickle import load as read\nread(a)': 'pickle.load',
    'import pickle\npickle.Unpickler(a).load()': 'pickle.Unpickler',
    'import numpy as np\nnp.load(a)': 'numpy.load without allow_pickle=False',
    'eval(a)': 'builtins.eval',
    'import subprocess\nsubprocess.run(a, shell=True)': 'subprocess.run(shell=True)',
    'from subprocess import run\nrun(a, shell=shell)': 'subprocess.run(shell=Ellipsis)',
    'import os\nos.system(a)': 'os.system',
    'import mmengine.fileio as fileio\nfileio.load(a)': 'mmengine.fileio.load',
    'tar.extractall()': 'tar.extractall',
    'reader(trust_remote_code=True)': 'reader(trust_remote_code=True)',
}
HARMLESS = [
    'import torch\ntorch.load(a, weights_only=True)',
    'import numpy as np\nnp.load(a, allow_pickle=False)',
    'import yaml\nyaml.safe_load(a)',
    'model.eval()',
]


def test_such_calls_are_seen():
    for source, call in SEEN.items():
        (found,) = unsafe_calls(source)
        assert found.startswith(call), source
    assert [unsafe_calls(source) for source in HARMLESS] == [[]] * len(HARMLESS)
