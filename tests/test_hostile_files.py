"""Every entry point that reads a file gets files that run code in careless hands: none runs it."""

import ast
import io
import pickle
import runpy
import zipfile
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
from mmpretrain_mldecoder.apis import MultiLabelInferencer
from mmpretrain_mldecoder.apis.inference.stored_config import stored_config
from mmpretrain_mldecoder.apis.thresholds.tuned_test import use_stored_thresholds
from mmpretrain_mldecoder.checkpoints import load_weights_only
from mmpretrain_mldecoder.checkpoints.load import read_weights
from mmpretrain_mldecoder.checkpoints.pretrained_init import PretrainedInit
from mmpretrain_mldecoder.datasets.coco_annotations import read_coco_annotations
from mmpretrain_mldecoder.engine.runners.finished_test import read_finished_test
from mmpretrain_mldecoder.fileio.json_files import read_json_lines
from mmpretrain_mldecoder.visualization import read_scalars

ROOT = Path(__file__).parents[1]
# How a reader refuses; a tool ends with SystemExit.
REFUSED = (ValueError, OSError, ImportError, RuntimeError, SystemExit)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp('hostile')


@pytest.fixture(scope='module')
def config(folder):
    return write_classifier(folder)[0]


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
# These read text or JSON; a pickle is only bytes to them.
TEXT_READERS = {
    'read_coco_annotations': read_coco_annotations,
    'read_finished_test': read_finished_test,
    'read_json_lines': lambda file: list(read_json_lines(file)),
    'read_scalars': lambda file: read_scalars(file.parent),
}


def assert_refused(read, file: Path, marker: Path, *args) -> None:
    """See that the file is refused, by its name: another error would prove nothing."""
    printed = io.StringIO()
    with redirect_stderr(printed), pytest.raises(REFUSED) as refusal:
        read(file, *args)
    assert not marker.exists()
    said = printed.getvalue() if isinstance(refusal.value, SystemExit) else str(refusal.value)
    assert getattr(refusal.value, 'code', 2) != 0
    assert file.name in said


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


@pytest.mark.parametrize('name', TEXT_READERS)
def test_pickles_are_only_bytes_to_readers_of_text(name, tmp_path):
    marker = tmp_path / 'marker'
    file = tmp_path / 'scalars.json'
    file.write_bytes(pickle.dumps(MakesMarker(marker), protocol=0))
    try:
        read = TEXT_READERS[name](file)
    except (ValueError, OSError):
        read = []
    assert not any(read)
    assert not marker.exists()


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


def test_archive_that_unpacks_to_much_more_is_refused(tmp_path):
    path = tmp_path / 'bomb.pth'
    torch.save(dict(weight=torch.zeros(1)), path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content + bytes(10_000_000 * name.endswith('data/0')))
    assert path.stat().st_size < 50_000
    with pytest.raises(
        ValueError, match=r'bomb.pth is not a checkpoint of torch.save, which never'
    ):
        load_weights_only(path)


def test_tensor_that_is_larger_than_its_values_is_refused(tmp_path):
    path = tmp_path / 'bomb.pkl'
    huge = torch.zeros(1).expand(10**12)  # one value; a copy would take 4 TB
    path.write_bytes(pickle.dumps([dict(pred_score=huge)]))
    with pytest.raises(ValueError, match=r'a tensor of 1,000,000,000,000 elements, but 1 values'):
        read_predictions(path)


# The calls that decode a file, and where they stand. A new one needs a place in this table and,
# if its format can hold code, in those above.
DECODERS = {
    'CheckpointLoader.load_checkpoint', 'Config.fromfile', 'Image.open', 'json.load', 'json.loads',
    'load_checkpoint', 'load_file', 'list_from_file', 'mmcv.imread', 'msgspec.json.decode',
    'np.load', 'onnx.load', 'onnxruntime.InferenceSession', 'torch.export.load', 'torch.load',
}  # fmt: skip
WALKED = 'weights or predictions: walked above'
CONFIG = "the user's own Python config, which is a program"
TEXT = 'JSON or text: holds no code'
IMAGE = 'an image: decoders only'
OWN = 'written by the same process a moment before'
READERS = {
    'examples/onnx_predict.py': 'an image, an ONNX model, JSON in it: graphs, no code',
    'mmpretrain_mldecoder/apis/export/quantize.py': OWN,
    'mmpretrain_mldecoder/apis/export/torch_archive.py': OWN,
    'mmpretrain_mldecoder/apis/export/trained_model.py': WALKED,
    'mmpretrain_mldecoder/apis/inference/multi_label_inferencer.py': WALKED,
    'mmpretrain_mldecoder/apis/inference/onnx_model.py': OWN,
    'mmpretrain_mldecoder/apis/inference/stored_config.py': WALKED,
    'mmpretrain_mldecoder/apis/model_table/model_cost.py': OWN,
    'mmpretrain_mldecoder/apis/model_table/table_rows.py': CONFIG,
    'mmpretrain_mldecoder/apis/predictions/json_lines.py': TEXT,
    'mmpretrain_mldecoder/apis/predictions/prediction_folder.py': TEXT,
    'mmpretrain_mldecoder/apis/read_config.py': CONFIG,
    'mmpretrain_mldecoder/apis/work_dir.py': TEXT,
    'mmpretrain_mldecoder/apis/web_demo/demo_view.py': IMAGE,
    'mmpretrain_mldecoder/datasets/coco_annotations.py': TEXT,
    'mmpretrain_mldecoder/datasets/coco_multi_label.py': TEXT,
    'mmpretrain_mldecoder/datasets/decode_image.py': IMAGE,
    'mmpretrain_mldecoder/datasets/demo_scenes.py': TEXT,
    'mmpretrain_mldecoder/datasets/image_check.py': IMAGE,
    'mmpretrain_mldecoder/datasets/image_header.py': IMAGE,
    'mmpretrain_mldecoder/datasets/resized_copy.py': TEXT,
    'mmpretrain_mldecoder/datasets/seeded_imagenet.py': TEXT,
    'mmpretrain_mldecoder/datasets/skip_unreadable.py': TEXT,
    'mmpretrain_mldecoder/engine/checkpoints/checkpoint.py': WALKED,
    'mmpretrain_mldecoder/engine/runners/finished_test.py': TEXT,
    'mmpretrain_mldecoder/engine/runners/launch.py': CONFIG,
    'mmpretrain_mldecoder/engine/runners/resuming_runner.py': WALKED,
    'mmpretrain_mldecoder/report/photos.py': IMAGE,
    'mmpretrain_mldecoder/report/predictions_pickle.py': WALKED,
    'mmpretrain_mldecoder/visualization/contact_sheet.py': IMAGE,
    'mmpretrain_mldecoder/visualization/curves.py': TEXT,
    'mmpretrain_mldecoder/weights/pretrained_init.py': WALKED,
    'mmpretrain_mldecoder/weights/read.py': WALKED,
    'tools/demo.py': CONFIG,
}


def test_every_reader_has_its_place_in_the_table():
    found = set()
    for folder in ('mmpretrain_mldecoder', 'tools', 'examples'):
        for path in (ROOT / folder).rglob('*.py'):
            calls = (
                n for n in ast.walk(ast.parse(path.read_text('utf-8'))) if isinstance(n, ast.Call)
            )
            if any(ast.unparse(call.func) in DECODERS for call in calls):
                found.add(str(path.relative_to(ROOT)))
    assert sorted(found - set(READERS)) == [], 'what does it read, and can that hold code?'
    assert READERS.keys() >= found
