"""Every entry point that reads a file gets files that run code in careless hands: none runs it.

test_hostile_code.py looks for calls that would.
"""

import io
import pickle
import runpy
from contextlib import redirect_stderr
from pathlib import Path

import pytest
import torch
from hostile_files import MakesMarker, hostile_checkpoints, hostile_predictions
from mmengine.runner import CheckpointLoader, load_checkpoint
from mmpretrain import get_model
from tiny_classifier import write_classifier
from tiny_run import build_runner, load_tool, write_tiny_config

from mmpretrain_mldecoder.analysis.report import read_predictions
from mmpretrain_mldecoder.apis import MultiLabelInferencer, use_stored_thresholds
from mmpretrain_mldecoder.apis.inference.stored_config import stored_config
from mmpretrain_mldecoder.checkpoints import PretrainedInit, load_weights_only, read_weights

pytestmark = pytest.mark.filterwarnings('ignore:Detected pickle protocol')
ROOT = Path(__file__).parents[1]
# How a reader refuses; a tool ends with SystemExit.
REFUSED = (ValueError, OSError, ImportError, RuntimeError, SystemExit)


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    return write_classifier(tmp_path_factory.mktemp('hostile'))[0]


def tool(name: str):
    """Return the ``main`` of a tool, looked up when it is called."""
    return lambda *args: runpy.run_path(str(ROOT / 'tools' / name))['main']([*map(str, args)])


# What is called with the file, the config of a model and a folder to write to.
CHECKPOINT_READERS = {
    'load_weights_only': lambda file, config, out: load_weights_only(file),
    'read_weights': lambda file, config, out: read_weights(file),
    'CheckpointLoader': lambda file, config, out: CheckpointLoader.load_checkpoint(str(file)),
    'load_checkpoint': lambda file, config, out: load_checkpoint(torch.nn.Linear(1, 1), str(file)),
    'PretrainedInit': lambda file, config, out: PretrainedInit(str(file))(torch.nn.Linear(1, 1)),
    'get_model': lambda file, config, out: get_model(str(config), pretrained=str(file)),
    'MultiLabelInferencer': lambda file, config, out: MultiLabelInferencer(config, file),
    'stored_config': lambda file, config, out: stored_config(file),
    'use_stored_thresholds': lambda file, config, out: use_stored_thresholds(None, str(file)),
    'convert_weights.py': lambda file, config, out: tool('convert_weights.py')(file, out / 'a.pth'),
    'infer.py': lambda file, config, out: tool('infer.py')(ROOT / 'docs/figures', config, file),
    'infer.py --no-config': lambda file, config, out: tool('infer.py')(
        ROOT / 'docs/figures', file, '--no-config'
    ),
    'export_onnx.py': lambda file, config, out: tool('export_onnx.py')(
        config, file, out / 'a.onnx'
    ),
    'tune_thresholds.py': lambda file, config, out: tool('analysis_tools/tune_thresholds.py')(
        config, file, '--split', 'val', '--work-dir', out
    ),
}
# Slow ones get one file of each kind of trouble instead of all.
SLOW = {'get_model', 'MultiLabelInferencer', 'infer.py', 'export_onnx.py', 'tune_thresholds.py'}
PREDICTION_READERS = {
    'read_predictions': lambda file, config, out: read_predictions(file),
    'report.py': lambda file, config, out: tool('report.py')(config, file, '--out', out),
    'report.py --compare': lambda file, config, out: tool('report.py')(
        config, file, '--compare', file, '--out', out
    ),
    'export_fiftyone.py': lambda file, config, out: tool('analysis_tools/export_fiftyone.py')(
        config, file, out
    ),
}


def assert_refused(read, file: Path, marker: Path, *args) -> None:
    """See that the file is refused, by its name: another error would prove nothing."""
    printed = io.StringIO()
    with redirect_stderr(printed), pytest.raises(REFUSED) as refusal:
        read(file, *args)
    assert not marker.exists()
    message = printed.getvalue() if isinstance(refusal.value, SystemExit) else str(refusal.value)
    assert getattr(refusal.value, 'code', 2) != 0
    assert file.name in message


@pytest.mark.parametrize('name', CHECKPOINT_READERS)
def test_checkpoints_are_refused(name, config, tmp_path):
    marker = tmp_path / 'marker'
    files = hostile_checkpoints(marker)
    if name in SLOW:
        files = {kind: files[kind] for kind in ('optimizer', 'legacy', 'pickle 2')}
    for content in files.values():
        (tmp_path / 'evil.pth').write_bytes(content)
        assert_refused(CHECKPOINT_READERS[name], tmp_path / 'evil.pth', marker, config, tmp_path)


@pytest.mark.parametrize('suffix', ['.pdparams', '.pdema', '.safetensors', '.bin', '.pth', ''])
def test_published_weights_are_refused(suffix, tmp_path):
    marker, file = tmp_path / 'marker', tmp_path / f'evil{suffix}'
    contents = hostile_checkpoints(marker) | hostile_predictions(marker)
    for content in contents.values():
        file.write_bytes(content)
        assert_refused(read_weights, file, marker)
        assert_refused(lambda path: CheckpointLoader.load_checkpoint(str(path)), file, marker)


def test_training_and_test_refuse(tmp_path):
    config, marker = write_tiny_config(tmp_path), tmp_path / 'marker'
    evil = tmp_path / 'evil.pth'
    evil.write_bytes(hostile_checkpoints(marker)['optimizer'])
    work_dir = ('--work-dir', tmp_path / 'work')
    assert_refused(
        lambda file: load_tool('train')(config, '--resume', file, *work_dir), evil, marker
    )
    assert_refused(lambda file: load_tool('test')(config, file, *work_dir), evil, marker)
    assert_refused(
        lambda file: build_runner(config, tmp_path / 'own', load_from=str(file)).train(),
        evil,
        marker,
    )


@pytest.mark.parametrize('name', PREDICTION_READERS)
def test_predictions_are_refused(name, config, tmp_path):
    if name.startswith('report.py'):
        pytest.importorskip('plotly', reason="pip install -e '.[report]'")
    marker = tmp_path / 'marker'
    for content in hostile_predictions(marker).values():
        (tmp_path / 'evil.pkl').write_bytes(content)
        assert_refused(PREDICTION_READERS[name], tmp_path / 'evil.pkl', marker, config, tmp_path)


CONFIG_READERS = {
    'infer.py': lambda file, out: tool('infer.py')(ROOT / 'docs/figures', file, file),
    'report.py': lambda file, out: tool('report.py')(file, file, '--out', out),
    'export_fiftyone.py': lambda file, out: tool('analysis_tools/export_fiftyone.py')(
        file, file, out
    ),
    'export_onnx.py': lambda file, out: tool('export_onnx.py')(file, file, out / 'a.onnx'),
    'test.py': lambda file, out: tool('test.py')(file, file, '--work-dir', out),
    'browse.py': lambda file, out: tool('dataset_tools/browse.py')(file, '--out-dir', out),
    'MultiLabelInferencer': lambda file, out: MultiLabelInferencer(file, file),
}


@pytest.mark.parametrize('name', CONFIG_READERS)
def test_what_is_no_config_is_named(name, tmp_path):
    if name == 'report.py':
        pytest.importorskip('plotly', reason="pip install -e '.[report]'")
    for suffix, content in (
        ('.py', b'model = \n'),
        ('.py', b'raise KeyError(1)\n'),
        ('.py', b'\xff\xfe\0'),
        ('.json', b'{"model": '),
        ('.pth', pickle.dumps(MakesMarker(tmp_path / 'marker'))),
    ):
        file = tmp_path / f'evil{suffix}'
        file.write_bytes(content)
        assert_refused(CONFIG_READERS[name], file, tmp_path / 'marker', tmp_path / 'out')
    (tmp_path / 'folder.py').mkdir()
    assert_refused(
        CONFIG_READERS[name], tmp_path / 'folder.py', tmp_path / 'marker', tmp_path / 'out'
    )


def test_these_files_would_run_in_careless_hands(tmp_path):
    """Else the tests above could not fail."""
    for kind, content in hostile_checkpoints(tmp_path / 'marker').items():
        (tmp_path / 'evil.pth').write_bytes(content)
        try:
            torch.load(tmp_path / 'evil.pth', weights_only=False)
        except (RuntimeError, pickle.UnpicklingError, AttributeError, TypeError):
            assert kind.startswith(('pickle', 'made', 'array'))  # what torch's format has not
            if kind.startswith('pickle'):
                pickle.loads(content)
        if kind != 'made by hand':
            assert (tmp_path / 'marker').exists(), kind
        (tmp_path / 'marker').unlink(missing_ok=True)
    for content in hostile_predictions(tmp_path / 'marker').values():
        pickle.loads(content)
        (tmp_path / 'marker').unlink()
