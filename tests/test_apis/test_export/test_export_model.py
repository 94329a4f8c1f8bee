import io
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmpretrain.registry import DATASETS, MODELS
from rich.console import Console
from sklearn.metrics import average_precision_score
from tiny_classifier import CLASSES, write_classifier

from mmpretrain_mldecoder.apis.export import export_model, parity
from mmpretrain_mldecoder.apis.export.formats import read_torch_archive
from mmpretrain_mldecoder.apis.export.model_input import calibration_batches
from mmpretrain_mldecoder.apis.inference import onnx_model
from mmpretrain_mldecoder.apis.trained_model import load_trained
from mmpretrain_mldecoder.errors import ParityError, RunError

onnx = pytest.importorskip('onnx')
onnxruntime = pytest.importorskip('onnxruntime')
pytest.importorskip('onnxscript')


def export(folder: Path, head: str = 'groups', suffix: str = '.onnx', **options):
    config, checkpoint = write_classifier(folder, head, **options.pop('classifier', {}))
    return export_model.export_model(
        Config.fromfile(config), checkpoint, folder / f'out{suffix}', **options
    )


def run(path: Path, images: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(path, providers=['CPUExecutionProvider'])
    return session.run(None, {'image': images})[0]


def random_images(batch: int, height: int = 32, width: int = 32) -> np.ndarray:
    return np.random.default_rng(batch).integers(0, 256, (batch, 3, height, width), np.uint8)


def torch_logits(folder: Path, head: str, images: np.ndarray) -> np.ndarray:
    """By the layers themselves, without the data preprocessor."""
    config = Config.fromfile(folder / f'{head}.py')
    model = MODELS.build(config.model).eval()
    load_trained(model, config, folder / f'{head}.pth')
    rgb = torch.from_numpy(images[:, ::-1].astype(np.float32))
    mean, std = torch.tensor([100.0, 110, 120]), torch.tensor([60.0, 50, 40])
    with torch.no_grad():
        return model((rgb - mean[:, None, None]) / std[:, None, None]).numpy()


def test_the_file_and_what_it_says(tmp_path):
    seen = export(tmp_path, classifier=dict(thresholds=True))
    assert seen.written
    assert seen.num_bytes == (tmp_path / 'out.onnx').stat().st_size
    assert [(row.batch, row.num_images) for row in seen.differences] == [(1, 7), (2, 7), (7, 7)]
    assert seen.largest < 1e-5
    session = onnxruntime.InferenceSession(tmp_path / 'out.onnx')
    properties = session.get_modelmeta().custom_metadata_map
    about = {key: json.loads(value) for key, value in properties.items()}
    assert about['classes'] == CLASSES
    assert about['thresholds'] == dict(values=[0.1, 0.3, 0.5, 0.7], criterion='f1', split='train')
    assert about['resize'] == [
        dict(op='squash', width=32, height=32, filter='bilinear', antialias=True)
    ]
    assert about['input'] == dict(
        name='image', dtype='uint8', layout='NCHW', channels='BGR', orientation='upright (EXIF)',
        values='pixels, 0 to 255', height=32, width=32,
    )  # fmt: skip
    assert about['output'] == dict(name='logits', then='sigmoid')
    assert about['requires'].keys() == {'onnxruntime', 'opset', 'ir_version'}
    source = about['source']
    assert (source['config'], source['checkpoint']) == ('groups.py', 'groups.pth')
    assert len(source['sha256']) == 64
    # not the folders of the machine that exported it
    assert str(Path(__file__).parents[3]).encode() not in (tmp_path / 'out.onnx').read_bytes()
    for batch in (1, 2, 7):
        images = random_images(batch)
        # two libraries sum in two orders
        np.testing.assert_allclose(
            run(tmp_path / 'out.onnx', images), torch_logits(tmp_path, 'groups', images), atol=1e-4
        )


OPSET_17 = pytest.param(
    17,
    marks=pytest.mark.skipif(
        tuple(map(int, torch.__version__.split('.')[:2])) < (2, 10),
        reason="torch's exporter gives opset 17 from torch 2.10 on",
    ),
)

# From the release notes of ONNX: the lowest IR version that knows an opset.
IR_OF_OPSET = {17: 8, 18: 8, 19: 9, 20: 9, 21: 10, 22: 10, 23: 11}


def check_versions(seen: export_model.Export, path: Path, opset: int | None) -> None:
    """The numbers of the runtimes are those that were seen to read such a file (docs/export.md)."""
    file = onnx.load(path)
    (version,) = (o.version for o in file.opset_import if o.domain == '')
    assert opset is None or version == opset
    assert file.ir_version <= IR_OF_OPSET[version]
    onnx.checker.check_model(file)
    requires = seen.metadata['requires']
    assert (requires['opset'], requires['ir_version']) == (version, file.ir_version)
    first = {17: '1.12', 18: '1.14', 19: '1.15', 20: '1.17', 21: '1.18', 22: '1.21', 23: '1.23'}
    assert requires['onnxruntime'] == first[version]
    here = [int(number) for number in onnxruntime.__version__.split('.')[:2]]
    assert [int(number) for number in requires['onnxruntime'].split('.')] <= here
    properties = {p.key: json.loads(p.value) for p in file.metadata_props}
    assert properties['requires'] == requires
    shown = Console(width=200, file=io.StringIO())
    shown.print(parity.export_report(seen))
    assert f'onnxruntime {requires["onnxruntime"]} or newer' in shown.file.getvalue()


def test_an_opset_that_the_exporter_does_not_give(tmp_path, monkeypatch):
    model = onnx.helper.make_model(
        onnx.helper.make_graph([], 'none', [], []),
        opset_imports=[onnx.helper.make_opsetid('', 18)],
    )
    given = SimpleNamespace(model_proto=model)
    monkeypatch.setattr(torch.onnx, 'export', lambda *args, **options: given)
    with pytest.raises(RunError, match='exporter gives opset 18, not 19: --opset 18'):
        export(tmp_path, opset=19)


@pytest.mark.parametrize(
    ('suffix', 'options'),
    [
        ('.onnx', dict(precision='fp16', dynamic_size=True, sigmoid=True)),
        ('.pt2', dict(dynamic_size=True)),
    ],
)
def test_float_input_is_the_normalised_image(tmp_path, suffix, options):
    seen = export(tmp_path, suffix=suffix, float_input=True, **options)
    about = seen.metadata['input']
    assert (about['dtype'], about['channels']) == ('float32', 'RGB')
    assert about['values'] == '(pixel - mean) / std'
    assert (about['mean'], about['std']) == ([100, 110, 120], [60, 50, 40])
    images = random_images(3)
    mean, std = (np.array(about[name], np.float32)[:, None, None] for name in ('mean', 'std'))
    normalised = (images[:, ::-1] - mean) / std
    if suffix == '.onnx':
        found = run(tmp_path / 'out.onnx', normalised)
    else:
        network, metadata = read_torch_archive(tmp_path / 'out.pt2')
        assert metadata == json.loads(json.dumps(seen.metadata))
        found = network(torch.from_numpy(normalised)).numpy()
    expected = torch_logits(tmp_path, 'groups', images)
    if options.get('sigmoid'):
        expected = 1 / (1 + np.exp(-expected))
    np.testing.assert_allclose(found, expected, atol=1e-2 if 'precision' in options else 1e-4)


def test_9605_classes_of_any_size_in_half_precision(tmp_path):
    half = export(tmp_path, 'many', precision='fp16', dynamic_size=True, sigmoid=True)
    weights = torch.load(tmp_path / 'many.pth', weights_only=True)['state_dict']
    single = sum(weight.nbytes for weight in weights.values())
    assert half.num_bytes - len(json.dumps(half.metadata['classes'])) < 0.6 * single
    assert {(row.height, row.width) for row in half.differences} == {(32, 32), (40, 24)}
    assert half.metadata['output'] == dict(name='scores', then=None)
    assert (half.metadata['input']['height'], half.metadata['input']['width']) == (None, None)
    assert half.tolerance == 1e-2
    assert 1e-5 < half.largest < 1e-2
    images = random_images(3, 50, 23)
    expected = 1 / (1 + np.exp(-torch_logits(tmp_path, 'many', images)))
    # A half keeps 5e-4 of a value, and what it does to one layer adds up over five.
    np.testing.assert_allclose(run(tmp_path / 'out.onnx', images), expected, atol=1e-2)


def test_a_head_for_one_class_gives_logits(tmp_path):
    seen = export(tmp_path, 'single', '.pt2')
    assert seen.metadata['output'] == dict(name='logits', then='softmax')
    assert seen.largest < 1e-5
    with pytest.raises(ValueError, match='a LinearClsHead predicts one class'):
        export(tmp_path, 'single', '.pt2', sigmoid=True)


OPS = ('Conv', 'MatMul')


@pytest.mark.parametrize('opset', [22, OPSET_17])
def test_int8_is_judged_by_the_metric(tmp_path, opset):
    int8 = dict(precision='int8', calibration=tmp_path / 'coco', max_map_drop=100)
    seen = export(tmp_path, opset=opset, **int8)
    check_versions(seen, tmp_path / 'out.onnx', opset)
    nodes = onnx.load(tmp_path / 'out.onnx').graph.node
    maker = {name: node.op_type for node in nodes for name in node.output}
    # The head is in float: all products of matrices are there.
    read = {op: {maker.get(x) for n in nodes if n.op_type == op for x in n.input} for op in OPS}
    assert 'DequantizeLinear' in read['Conv'] and 'DequantizeLinear' not in read['MatMul']
    assert (seen.metric, seen.tolerance) == ('coco/mAP', None)
    config = Config.fromfile(tmp_path / 'groups.py')
    dataset = DATASETS.build(config.test_dataloader.dataset)
    images = np.stack([dataset[i]['inputs'].numpy() for i in range(len(dataset))])
    targets = np.zeros((len(dataset), 4), int)
    for i in range(len(dataset)):
        targets[i, dataset.get_data_info(i)['gt_label']] = 1
    known = targets.any(0)  # a class without positives is left out

    def mean_ap(scores):
        return 100 * average_precision_score(targets[:, known], scores[:, known], average='macro')

    assert seen.before == pytest.approx(mean_ap(torch_logits(tmp_path, 'groups', images)))
    assert seen.after == pytest.approx(mean_ap(run(tmp_path / 'out.onnx', images)))


def test_a_metric_that_falls_leaves_no_file(tmp_path, monkeypatch):
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.LazyLinear(4))
    monkeypatch.setattr(export_model.formats, 'write_onnx', lambda out, *_: out.touch())
    monkeypatch.setattr(
        export_model.formats, 'read_onnx', lambda _: lambda x: network(x.float()).detach()
    )
    metrics = [{'coco/mAP': 90.0}, {'coco/mAP': 88.5}]
    monkeypatch.setattr(parity.Evaluator, 'evaluate', lambda *_: metrics.pop(0))
    with pytest.raises(ParityError, match=r'coco/mAP falls from 90\.00 to 88\.50, by more than 1'):
        export(tmp_path, precision='int8', calibration=tmp_path / 'coco')
    assert not (tmp_path / 'out.onnx').exists()


def test_a_model_that_cannot_be_exported(tmp_path, monkeypatch):
    def fail(*_):
        raise NotImplementedError('too exotic\nand a hundred lines')

    monkeypatch.setattr(export_model.formats, 'write_torch_archive', fail)
    with pytest.raises(RunError, match=r'cannot be exported: NotImplementedError: too exotic$'):
        export(tmp_path, suffix='.pt2')


@pytest.mark.parametrize(
    ('suffix', 'options', 'message'),
    [
        ('.onnx', dict(precision='int8'), r'int8 needs a folder of photos'),
        ('.onnx', dict(precision='int8', calibration='x', tolerance=1.0), 'judged by the metric'),
        ('.pt2', dict(tolerance=0.0), 'a tolerance must be above 0'),
        ('.onnx', dict(max_map_drop=-1.0), 'a drop at least 0'),
        ('.onnx', dict(opset=16), r'the opset is from 17 to 24, for .onnx: not 16'),
        ('.pt2', dict(opset=18), r'for .onnx: not 18 for .*out\.pt2'),
    ],
)
def test_options_that_do_not_go_together(tmp_path, suffix, options, message):
    with pytest.raises(ValueError, match=message):
        export_model.export_model(Config(), 'x.pth', tmp_path / f'out{suffix}', **options)


def test_photos_of_several_sizes_need_a_file_for_any_size(tmp_path):
    as_they_are = dict(classifier=dict(resize="dict(type='CenterCrop', crop_size=200)"))
    seen = export(tmp_path, suffix='.pt2', dynamic_size=True, **as_they_are)
    assert len({(row.height, row.width) for row in seen.differences}) > 1
    cfg = Config.fromfile(tmp_path / 'groups.py')
    with pytest.raises(ValueError, match=r'pixels after .* compared 9x8: export with --dynamic-si'):
        calibration_batches(cfg, tmp_path / 'coco', (3, 8, 9))
    assert sum(map(len, calibration_batches(cfg, tmp_path / 'coco', None))) == 19


def test_no_photos(tmp_path):
    config, checkpoint = write_classifier(tmp_path)
    cfg = Config.fromfile(config)
    cfg.test_dataloader.dataset.data_root = str(tmp_path / 'nowhere')
    int8 = dict(precision='int8', calibration=tmp_path / 'coco', photos=[tmp_path / 'coco'])
    with pytest.raises(FileNotFoundError, match='int8 is judged by the metric before and after'):
        export_model.export_model(cfg, checkpoint, tmp_path / 'out.onnx', **int8)
    seen = export_model.export_model(
        cfg, checkpoint, tmp_path / 'out.pt2', photos=[tmp_path / 'coco']
    )
    assert seen.differences[0].num_images == 19


def test_missing_packages(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_model, 'find_spec', lambda name: None if name == 'onnx' else name)
    with pytest.raises(ModuleNotFoundError, match=r'to ONNX needs onnx: pip install onnx$'):
        export_model.export_model(Config(), 'x.pth', tmp_path / 'out.onnx')
