import csv
import json
import os
import pickle
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from fake_coco import write_coco
from mmengine.config import Config
from mmpretrain.registry import MODELS

from mmpretrain_mldecoder.apis import MultiLabelInferencer

ROOT = Path(__file__).parents[2]
TOOL = ROOT / 'tools' / 'infer.py'
CLASSES = ('ant', 'bee, or wasp', '猫', 'dog')
CONFIG = """
custom_imports = dict(imports=['mmpretrain_mldecoder'], allow_failed_imports=False)
default_scope = 'mmpretrain'
data_preprocessor = dict(mean=[100, 110, 120], std=[60, 50, 40], to_rgb=True)
model = dict(
    type='ImageClassifier',
    backbone=dict(type='ResNet', depth=18, stem_channels=8, base_channels=8),
    head=dict(type='MLDecoderHead', num_classes=4, in_channels=64, embed_dims=16, num_heads=2,
              num_groups=2, feedforward_channels=16),
)
test_dataloader = dict(
    batch_size=3,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='COCOMultiLabel',
        data_root={data_root!r},
        ann_file='annotations/instances_val2017.json',
        data_prefix='val2017',
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='SquareResize', scale=64),
            dict(type='PackMultiLabelInputs'),
        ],
    )
)
test_evaluator = dict(type='MultiLabelMAP')
test_cfg = dict()
"""


@pytest.fixture(scope='session')
def coco(tmp_path_factory) -> Path:
    return write_coco(tmp_path_factory.mktemp('infer') / 'coco', dict(val=7), classes=CLASSES)


@pytest.fixture(scope='session')
def model_files(coco) -> list[str]:
    """A config and a checkpoint of a tiny model with four classes."""
    config, checkpoint = coco.parent / 'tiny.py', coco.parent / 'tiny.pth'
    config.write_text(CONFIG.replace('{data_root!r}', repr(str(coco))))
    torch.manual_seed(0)
    model = MODELS.build(Config.fromfile(config).model)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)  # so that the scores spread
    meta = dict(dataset_meta=dict(classes=CLASSES))
    torch.save(dict(state_dict=model.state_dict(), meta=meta), checkpoint)
    return [str(config), str(checkpoint)]


@pytest.fixture
def run_tool(capsys):
    """Run the tool in this process; return its status, and what it printed on stdout and stderr."""
    main = runpy.run_path(str(TOOL))['main']

    def run(*args) -> tuple[int, str, str]:
        status = 0
        try:
            main([*map(str, args), '--device', 'cpu', '--batch-size', '1'])
        except SystemExit as stop:
            status = stop.code
        return status, *capsys.readouterr()

    return run


def command(*args) -> dict:
    """What starts the tool in a process of its own."""
    environment = os.environ | dict(OMP_NUM_THREADS='1', PYTHONWARNINGS='ignore')
    return dict(args=list(map(str, args)), env=environment, cwd=ROOT, text=True)


def records(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text('utf-8').splitlines()]


def results(out: Path) -> dict[str, bytes]:
    """All files below a folder."""
    return {str(f.relative_to(out)): f.read_bytes() for f in out.rglob('*') if f.is_file()}


def photos(folder: Path, number: int) -> list[str]:
    """Write images into two folders, names alike, one with a name in Chinese."""
    rng = np.random.default_rng(0)
    paths = []
    for i in range(number):
        path = folder / 'ab'[i % 2] / f'{i // 2}{"照片, 1" if i == 4 else ""}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (50 + i % 5, 60, 3), dtype=np.uint8)
        path.write_bytes(cv2.imencode('.png', pixels)[1])
        paths.append(str(path))
    return paths


def test_everything_that_is_written(run_tool, coco, model_files, tmp_path):
    photo, folder, out = coco / 'val2017' / '000000000005.jpg', coco / 'val2017', tmp_path / 'out'
    status, printed, _ = run_tool(
        *(photo, folder, *model_files, '--thr', '0', '--topk', '2'),
        *('--out-dir', out, '--csv', '--images', '--attention', '--per-head'),
    )
    assert status == 0
    predictions = records(out / 'predictions.jsonl')
    # Named twice, predicted once, and there as often as named.
    assert [p['path'] for p in predictions] == [str(photo), *map(str, sorted(folder.iterdir()))]
    assert predictions[0] == predictions[6]
    rows = printed.splitlines()
    unique = [predictions[0], *(p for p in predictions[1:] if p['path'] != str(photo))]
    for prediction, row in zip(unique, rows[:7], strict=True):
        assert row.startswith(prediction['path'])
        assert [f'{s:.3f}' for s in prediction['scores']] == [
            word for word in row.removeprefix(prediction['path']).split() if '0.' in word
        ]
        assert all(label in row for label in prediction['labels'])
    assert rows[7:] == [
        f'predictions: {out / "predictions.jsonl"}',
        f'predictions: {out / "predictions.csv"}',
        f'images: {out / "images"}',
        f'attention: {out / "attention"}',
        f'contact sheet: {out / "contact_sheet.png"}',
    ]
    assert predictions[0]['thresholds'] == [0, 0]
    digits = subprocess.run(['sha256sum', model_files[1]], capture_output=True, text=True).stdout
    assert predictions[0]['model'] == dict(
        config='tiny.py', checkpoint='tiny.pth', sha256=digits[:8]
    )
    with (out / 'predictions.csv').open(encoding='utf-8', newline='') as file:
        header, *table = csv.reader(file)
    assert header == ['path', *CLASSES]
    for prediction, (path, *cells) in zip(predictions, table, strict=True):
        assert path == prediction['path']
        given = {name: float(cell) for name, cell in zip(CLASSES, cells, strict=True) if cell}
        expected = dict(zip(prediction['labels'], prediction['scores'], strict=True))
        assert given == pytest.approx(expected, abs=1e-6)  # six decimals
    drawn = sorted(path.relative_to(out / 'images') for path in out.glob('images/**/*.jpg'))
    assert drawn == sorted(Path('_', *Path(path).parts[1:]) for path in map(str, folder.iterdir()))
    assert len(list(out.glob('attention/**/*.jpg.png'))) == 7
    for path in [out / 'contact_sheet.png', *out.glob('*/**/*.jpg'), *out.glob('*/**/*.png')]:
        assert cv2.imread(str(path)) is not None
    assert not (out / 'partial').exists()
    assert not (out / 'failed.jsonl').exists()


def test_scores_are_those_of_the_test_tool(run_tool, coco, model_files, tmp_path):
    out = tmp_path / 'predictions.pkl'
    tested = subprocess.run(
        **command(
            *(sys.executable, ROOT / 'tools' / 'test.py', *model_files),
            *('--out', out, '--work-dir', tmp_path / 'work'),
        ),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert tested.returncode == 0, tested.stdout
    with out.open('rb') as file:
        dumped = pickle.load(file)
    run_tool(coco / 'val2017', *model_files, '--thr', '0', '--out-dir', tmp_path / 'out')
    predictions = records(tmp_path / 'out' / 'predictions.jsonl')
    arrays = [cv2.imread(item['img_path']) for item in dumped]
    from_arrays = MultiLabelInferencer(*model_files, device='cpu')(arrays, thr=0)
    for item, *both in zip(dumped, predictions, from_arrays, strict=True):
        assert both[0]['path'] == item['img_path']
        for prediction in both:
            scores = dict(zip(prediction['labels'], prediction['scores'], strict=True))
            # Folded batch norms and other batches: a few float32 roundings, of random weights.
            expected = pytest.approx(item['pred_score'].tolist(), abs=1e-5)
            assert [scores[name] for name in CLASSES] == expected


def test_threshold_applies_without_a_folder(run_tool, coco, model_files):
    photo = coco / 'val2017' / '000000000001.jpg'
    assert run_tool(photo, *model_files, '--thr', '1')[1].split() == [str(photo), '-']


def test_unreadable_images_are_listed_and_the_rest_goes_on(run_tool, model_files, tmp_path):
    good = photos(tmp_path / 'photos', 3)
    (tmp_path / 'photos' / 'broken.jpg').write_bytes(b'not an image')
    (tmp_path / 'list.txt').write_text('# gone\ngone.jpg\n')
    out = tmp_path / 'out'
    inputs = (tmp_path / 'photos', tmp_path / 'list.txt', *model_files)
    status, _, errors = run_tool(*inputs, '--out-dir', out)
    assert status == 1
    failed = records(out / 'failed.jsonl')
    broken, gone = str(tmp_path / 'photos' / 'broken.jpg'), str(tmp_path / 'gone.jpg')
    assert [record['path'] for record in failed] == [broken, gone]
    assert failed[0]['reason'] == 'no image in it'
    assert f'cannot read image {gone}: No such file' in errors
    assert errors.endswith('2 of 5 images could not be read\n')
    assert [p['path'] for p in records(out / 'predictions.jsonl')] == sorted(good)
    assert run_tool(*inputs)[0] == 1  # also without a folder

    for path in (broken, gone):
        Path(path).write_bytes(Path(good[0]).read_bytes())
    status, printed, _ = run_tool(*inputs, '--out-dir', out)
    assert status == 0
    assert printed.startswith('3 of 5 images were predicted before\n')
    assert not (out / 'failed.jsonl').exists()
    assert len(records(out / 'predictions.jsonl')) == 5


@pytest.mark.faults
def test_goes_on_after_a_kill(run_tool, model_files, tmp_path):
    paths = photos(tmp_path / 'photos', 40)
    out, partial = tmp_path / 'out', tmp_path / 'out' / 'partial' / 'predictions.0.jsonl'
    args = (tmp_path / 'photos', *model_files, '--thr', '0.3', '--images', '--csv')
    process = subprocess.Popen(
        **command(sys.executable, TOOL, *args, '--out-dir', out, '--batch-size', '1'),
        stdout=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while not partial.is_file() or partial.read_bytes().count(b'\n') < 3:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    kept = partial.read_bytes()
    number = kept.count(b'\n')
    assert 3 <= number < 40
    assert not (out / 'predictions.jsonl').exists()
    partial.write_bytes(kept + b'{"path": "torn')

    _, printed, _ = run_tool(*args, '--out-dir', out)
    rows = printed.splitlines()
    assert rows[0] == f'{number} of 40 images were predicted before'
    assert sum(' 0.' in row or row.endswith(' -') for row in rows) == 40 - number
    run_tool(*args, '--out-dir', tmp_path / 'at once')
    # Batches of one image: not a bit may differ, nor a pixel.
    assert results(out) == results(tmp_path / 'at once')
    assert [p['path'] for p in records(out / 'predictions.jsonl')] == sorted(paths)


@pytest.mark.faults
def test_several_processes_write_what_one_writes(run_tool, model_files, tmp_path):
    paths = photos(tmp_path / 'photos', 9)
    Path(paths[3]).write_bytes(b'not an image')
    (tmp_path / 'list.txt').write_text('\n'.join([paths[5], paths[0], paths[3], paths[5]]))
    args = (tmp_path / 'list.txt', tmp_path / 'photos', *model_files, '--thr', '0.3', '--images')
    done = subprocess.run(
        **command(
            *(sys.executable, '-m', 'torch.distributed.run', '--standalone'),
            *('--nproc-per-node', '2', TOOL, *args, '--out-dir', tmp_path / 'two'),
            *('--batch-size', '1', '--device', 'cpu'),
        ),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=200,
    )
    assert done.returncode == 1, done.stdout
    assert '1 of 13 images could not be read' in done.stdout
    assert sum(line.startswith(str(tmp_path)) for line in done.stdout.splitlines()) == 8, (
        done.stdout
    )
    assert run_tool(*args, '--out-dir', tmp_path / 'one')[0] == 1
    assert results(tmp_path / 'two') == results(tmp_path / 'one')
    assert len(records(tmp_path / 'one' / 'predictions.jsonl')) == 12 - 1


def test_interrupted(run_tool, coco, model_files, tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(MultiLabelInferencer, '_predict', interrupt)
    args = (coco / 'val2017', *model_files)
    assert run_tool(*args) == (130, '', '\ninterrupted: nothing was written\n')
    status, _, error = run_tool(*args, '--out-dir', tmp_path / 'out')
    assert (status, error) == (130, '\ninterrupted: the same command resumes\n')


def test_drawings_are_no_images_to_predict(run_tool, model_files, tmp_path):
    photos(tmp_path, 2)
    args = (tmp_path, *model_files, '--images', '--out-dir', tmp_path)
    assert run_tool(*args)[0] == 0
    assert '2 of 2 images were predicted before' in run_tool(*args)[1]
    status, _, error = run_tool(tmp_path / 'images', *model_files, '--out-dir', tmp_path)
    assert (status, 'no image among the inputs but what was drawn in' in error) == (2, True)


def test_other_settings_need_overwrite(run_tool, coco, model_files, tmp_path):
    args = (coco / 'val2017', *model_files, '--out-dir', tmp_path / 'out')
    assert run_tool(*args, '--thr', '0.3')[0] == 0
    for more, message in (
        (('--thr', '0.4'), 'thr was 0.3 and is 0.4'),
        (('--thr', '0.3', '--topk', '1'), 'topk was None and is 1'),
        (
            ('--thr', '0.3', '--cfg-options', 'test_dataloader.dataset.pipeline.1.scale=32'),
            'model_and_pipeline_sha256 was',
        ),
    ):
        status, _, error = run_tool(*args, *more)
        assert status == 2
        assert 'other settings' in error
        assert message in error
    assert run_tool(*args, '--thr', '0.4', '--overwrite')[0] == 0
    assert {
        t for p in records(tmp_path / 'out' / 'predictions.jsonl') for t in p['thresholds']
    } <= {0.4}


@pytest.mark.parametrize(
    ('args', 'message'),
    [
        (('--csv',), '--csv needs --out-dir'),
        (('--images',), '--images needs --out-dir'),
        (('--overwrite',), '--overwrite needs --out-dir'),
        (('--per-head', '--out-dir', 'out'), '--per-head needs --attention'),
        (('--attention', '--out-dir', 'out', '--backend', 'onnx'), '--attention needs torch'),
        (('--thr', 'best'), "thr must be in [0, 1] or 'tuned', but got 'best'"),
        (('--thr', '1.5'), "thr must be in [0, 1] or 'tuned', but got 1.5"),
        (('--thr', 'tuned'), 'the checkpoint has no thresholds'),
        (('--topk', '0'), 'topk must be at least 1, but got 0'),
        (('--cfg-options', 'model.head.type=Gone'), 'Gone'),
        (('--cfg-options', 'model.head.embed_dims=8'), 'tiny.pth is not of this model: size mism'),
    ],
)
def test_wrong_options_end_in_a_line(run_tool, coco, model_files, args, message):
    status, printed, error = run_tool(coco / 'val2017', *model_files, *args)
    assert (status, printed) == (2, '')
    assert message in error.splitlines()[-1]


@pytest.mark.parametrize(
    ('index', 'value', 'message'),
    [
        (0, 'gone.jpg', 'no such image, folder, glob or list file: gone.jpg'),
        (0, 'https://x.org/1.jpg', 'is an address, https://x.org/1.jpg: download the image'),
        (1, 'gone.py', 'no config at gone.py'),
        (2, 'gone.pth', 'no checkpoint at gone.pth'),
        (2, str(TOOL), 'infer.py is not a checkpoint'),
        (1, str(ROOT / 'README.md'), 'Only py/yml/yaml/json type are supported'),
    ],
)
def test_wrong_files_end_in_a_line(run_tool, coco, model_files, index, value, message):
    args = [coco / 'val2017', *model_files]
    args[index] = value
    status, printed, error = run_tool(*args)
    assert (status, printed) == (2, '')
    assert message in error.splitlines()[-1]


def test_onnx_is_for_the_cpu(coco, model_files, capsys):
    main = runpy.run_path(str(TOOL))['main']
    with pytest.raises(SystemExit) as stop:
        main([str(coco / 'val2017'), *model_files, '--backend', 'onnx', '--device', 'cuda'])
    assert stop.value.code == 2
    assert "backend 'onnx' predicts on the CPU, but device is cuda" in capsys.readouterr().err
