import json
import os
import re
import runpy
import subprocess
import sys
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from faulty_images import encoded
from mmengine.config import Config
from PIL import Image
from tiny_classifier import write_classifier

from mmpretrain_mldecoder.apis import MultiLabelInferencer, export_model
from mmpretrain_mldecoder.apis.export.model_input import pack_photos, resize_rule
from mmpretrain_mldecoder.datasets.image_header import image_suffixes
from mmpretrain_mldecoder.datasets.image_search import find_images

onnx = pytest.importorskip('onnx')
for package in ('onnxruntime', 'onnxscript'):
    pytest.importorskip(package)

EXAMPLE = Path(__file__).parents[2] / 'examples' / 'onnx_predict.py'
# As a machine that has none of the packages of the training.
ALONE = """
import runpy, sys
for name in 'torch torchvision mmengine mmcv mmpretrain mmpretrain_mldecoder cv2'.split():
    sys.modules[name] = None
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name='__main__')
"""
LOAD, PACK = dict(type='LoadImageFromFile'), dict(type='PackInputs')


def predict(*args) -> subprocess.CompletedProcess:
    command = [sys.executable, '-c', ALONE, EXAMPLE, *args]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=60)


@pytest.fixture(scope='module')
def exported(tmp_path_factory) -> tuple[str, str, Path]:
    folder = tmp_path_factory.mktemp('exported')
    config, checkpoint = write_classifier(folder, thresholds=True)
    export_model(Config.fromfile(config), checkpoint, folder / 'out.onnx')
    return config, checkpoint, folder / 'out.onnx'


def test_it_needs_few_packages():
    imported = set(re.findall(r'^(?:import|from) (\w+)', EXAMPLE.read_text(), re.M))
    assert imported - set(sys.stdlib_module_names) == {'numpy', 'onnxruntime', 'PIL'}


@pytest.mark.parametrize('float_input', [False, True])
def test_scores_are_those_of_the_inferencer(exported, tmp_path, shared_data, float_input):
    config, checkpoint, model = exported
    if float_input:
        model = tmp_path / 'float.onnx'
        export_model(Config.fromfile(config), checkpoint, model, float_input=True)
    photos = sorted(map(str, shared_data.glob('coco_tiny/**/*.jpg')))[:12]
    done = predict(model, *photos, '--thr', '0')
    assert not done.stderr
    rows = [line.split('  ') for line in done.stdout.splitlines()]
    expected = MultiLabelInferencer(config, checkpoint, 'cpu', backend='torch')(photos, thr=0)
    for (path, *labels), prediction in zip(rows, expected, strict=True):
        assert path == prediction['path']
        seen = {name: float(score) for name, score in (label.split() for label in labels)}
        wanted = dict(zip(prediction['labels'], prediction['scores'], strict=True))
        # Of 1 pixel in 100, Pillow and the pipeline disagree by 1 of 256 grey levels.
        assert seen == pytest.approx(wanted, abs=2e-3)


def test_tuned_thresholds(exported, fake_coco):
    config, checkpoint, model = exported
    photos = sorted(map(str, fake_coco.glob('val2017/*')))
    limits = dict(ant=0.1, bee=0.3, cat=0.5, dog=0.7)
    expected = MultiLabelInferencer(config, checkpoint, 'cpu', backend='torch')(photos, thr=0)
    for line, prediction in zip(
        predict(model, *photos, '--thr', 'tuned').stdout.splitlines(), expected, strict=True
    ):
        pairs = zip(prediction['labels'], prediction['scores'], strict=True)
        wanted = [name for name, score in pairs if score >= limits[name]]
        assert [label.split()[0] for label in line.split('  ')[1:]] == wanted


def test_what_the_file_lacks_is_said(exported, tmp_path):
    model = onnx.load(exported[2])
    properties = {p.key: p.value for p in model.metadata_props}
    for key, value in (('thresholds', None), ('resize', 'unknown: prepare the input yourself')):
        changed = {**properties, key: json.dumps(value)}
        onnx.helper.set_model_props(model, {k: v for k, v in changed.items() if v != 'null'})
        onnx.save(model, tmp_path / 'changed.onnx')
        done = predict(tmp_path / 'changed.onnx', 'x.jpg', '--thr', 'tuned')
        assert done.returncode == 2
        assert (value or 'thresholds: none') in done.stderr


@pytest.fixture
def functions(monkeypatch) -> dict:
    """The example in this process, so that a call takes no second."""
    monkeypatch.setattr(sys, 'argv', ['onnx_predict.py'])
    return runpy.run_path(str(EXAMPLE))


def told(functions, monkeypatch, capsys, *args) -> str:
    """What the example says on standard error, which is one line and status 2."""
    monkeypatch.setattr(sys, 'argv', ['onnx_predict.py', *map(str, args)])
    try:
        status = functions['main']()
    except SystemExit as error:
        status = error.code
    said = capsys.readouterr().err
    assert (status, said.count('\n')) == (2, 1), said
    return said


def test_each_mistake_is_told_in_a_line(exported, functions, monkeypatch, capsys, tmp_path):
    model = exported[2]
    tell = partial(told, functions, monkeypatch, capsys)
    photo = encoded(np.full((40, 50, 3), 99, np.uint8), quality=95)
    contents = {
        'ok.jpg': photo,
        'text.jpg': b'<html>',
        'cut.jpg': photo[:-4] + bytes(900),
        'a.heic': b'\0\0\0\x18ftypheic\0\0\0\0mif1heic' + bytes(40),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'other/in').mkdir(parents=True)
    for name in ('1.csv', 'in/2.csv', '3.heic', '.DS_Store', '._4.jpg'):
        (tmp_path / 'other' / name).touch()
    ok = tmp_path / 'ok.jpg'
    assert f'{tmp_path} is a folder' in tell(tmp_path, ok)
    assert 'gone.onnx is not there' in tell(tmp_path / 'gone.onnx', ok)
    assert 'cannot load' in tell(ok, ok)
    assert 'no image or folder ' in tell(model, ok, tmp_path / 'gone.jpg')
    assert 'text.jpg: no image in it' in tell(model, tmp_path / 'text.jpg')
    assert 'cut.jpg: it ends after ' in tell(model, tmp_path / 'cut.jpg')
    assert 'nothing is there' in tell(model, tmp_path / 'empty')
    assert 'no provider Some, only ' in tell(model, ok, '--provider', 'Some').replace(
        ' in this onnxruntime', ''
    )
    assert '--thr is a number or tuned, not high' in tell(model, ok, '--thr', 'high')
    if '.heic' not in functions['SUFFIXES']:
        assert 'pip install pillow-heif' in tell(model, tmp_path / 'a.heic')
        said = tell(model, tmp_path / 'other')
        assert said.endswith('3 files left out: 2 .csv, 1 .heic (needs pillow-heif)\n')
    foreign = onnx.load(model)
    del foreign.metadata_props[:]
    onnx.save(foreign, tmp_path / 'foreign.onnx')
    assert 'is not of tools/export_onnx.py' in tell(tmp_path / 'foreign.onnx', ok)
    foreign.ir_version = 99
    onnx.save(foreign, tmp_path / 'newer.onnx')
    assert 'needs a newer onnxruntime than' in tell(tmp_path / 'newer.onnx', ok)


def test_folders_are_searched_as_by_the_package(functions, tmp_path):
    root = tmp_path / 'photos'
    for name in ('b/1.JFIF', 'b/c/2.png', '../more/3.gif', '.hidden/4.jpg', '__MACOSX/5.jpg'):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    for name, target in {'a': 'b', 'd': '../more', 'b/up': '..', 'e': '../more'}.items():
        (root / name).symlink_to(target)
    (root / 'notes.txt').touch()
    left_out = Counter()
    images, others = find_images(root)
    assert functions['find'](str(root), left_out) == images and left_out == others
    assert [os.path.relpath(path, root) for path in images] == ['b/1.JFIF', 'b/c/2.png', 'd/3.gif']
    assert set(functions['SUFFIXES']) == set(image_suffixes())


@pytest.mark.parametrize(
    ('resize', 'largest'),
    [
        ([dict(type='SquareResize', scale=32)], 1),
        ([dict(type='SquareResize', scale=32, antialias=False)], 0),
        ([dict(type='ShortSideResize', scale=40), dict(type='CenterCrop', crop_size=33)], 0),
        ([dict(type='ShortSideResize', scale=40)], 0),
        ([dict(type='ResizeEdge', scale=41), dict(type='CenterCrop', crop_size=(30, 400))], 0),
        ([dict(type='ResizeEdge', scale=41, backend='pillow', interpolation='bicubic')], 0),
        ([dict(type='Resize', scale=(60, 90))], 1),  # larger than the image
        ([], 0),
    ],
)
@pytest.mark.parametrize('turned', [False, True])
def test_pixels_are_those_of_the_pipeline(tmp_path, resize, largest, turned):
    functions = {}
    exec(EXAMPLE.read_text().partition('parser = ')[0], functions)
    pixels = np.random.default_rng(0).integers(0, 256, (57, 83, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6 if turned else 1  # to be turned by a quarter
    Image.fromarray(pixels).save(tmp_path / 'photo.jpg', exif=exif)
    pipeline = [LOAD, *resize, PACK]
    (expected,) = pack_photos(
        Config(dict(test_dataloader=dict(dataset=dict(pipeline=pipeline)))),
        [tmp_path / 'photo.jpg'],
    )
    about = dict(resize=resize_rule(pipeline), input=dict(dtype='uint8', channels='BGR'))
    (seen,) = functions['prepare'](tmp_path / 'photo.jpg', about)
    assert seen.shape == tuple(expected.shape)
    assert np.abs(seen.astype(int) - expected.numpy()).max() <= largest
