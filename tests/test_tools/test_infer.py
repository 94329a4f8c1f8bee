import csv
import hashlib
import json
import pickle
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
from four_classes import tiny_config, write_checkpoint
from tiny_run import ROOT, load_main, load_tool, refusal, run

from mmpretrain_mldecoder.apis import MultiLabelInferencer

TOOL = ROOT / 'tools' / 'infer.py'
CLASSES = ('ant', 'bee, or wasp', '猫', 'dog')


@pytest.fixture(scope='module')
def coco(tmp_path_factory) -> Path:
    return write_coco(tmp_path_factory.mktemp('infer') / 'coco', dict(val=7), classes=CLASSES)


@pytest.fixture(scope='module')
def model_files(coco) -> list[str]:
    """A config and a checkpoint of a tiny model with four classes."""
    config, path = tiny_config(coco), coco.parent / 'tiny.py'
    config.dump(path)
    text = config.pretty_text
    return [str(path), str(write_checkpoint(config, coco.parent / 'tiny.pth', CLASSES, cfg=text))]


@pytest.fixture
def run_tool(capsys):
    """Run the tool in this process; return its status, and what it printed on stdout and stderr."""
    main = load_main('infer')

    def run(*args) -> tuple[int, str, str]:
        status = 0
        try:
            main([*map(str, args), '--device', 'cpu', '--batch-size', '1'])
        except SystemExit as stop:
            status = stop.code
        return status, *capsys.readouterr()

    return run


def records(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text('utf-8').splitlines()]


def results(out: Path) -> dict[str, bytes]:
    """All files below a folder."""
    return {str(f.relative_to(out)): f.read_bytes() for f in out.rglob('*') if f.is_file()}


def write_images(folder: Path, number: int) -> list[str]:
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
    image, folder, out = coco / 'val2017' / '000000000005.jpg', coco / 'val2017', tmp_path / 'out'
    status, printed, _ = run_tool(
        *(image, folder, *model_files, '--thr', '0', '--topk', '2'),
        *('--out-dir', out, '--csv', '--pictures', '--attention', '--per-head'),
    )
    assert status == 0
    predictions = records(out / 'predictions.jsonl')
    # Named twice, predicted once, and there as often as named.
    assert [p['path'] for p in predictions] == [str(image), *map(str, sorted(folder.iterdir()))]
    assert predictions[0] == predictions[6]
    rows = printed.splitlines()
    unique = [predictions[0], *(p for p in predictions[1:] if p['path'] != str(image))]
    for prediction, row in zip(unique, rows[:7], strict=True):
        assert row.startswith(prediction['path'])
        assert all(f'{score:.3f}' in row for score in prediction['scores'])
        assert all(label in row for label in prediction['labels'])
    assert rows[7:] == [
        f'predictions: {out / "predictions.jsonl"}',
        f'predictions: {out / "predictions.csv"}',
        f'images: {out / "images"}',
        f'attention: {out / "attention"}',
        f'contact sheet: {out / "contact_sheet.png"}',
    ]
    assert predictions[0]['thresholds'] == [0, 0]
    digits = hashlib.sha256(Path(model_files[1]).read_bytes()).hexdigest()[:8]
    model = dict(config='tiny.py', checkpoint='tiny.pth', sha256=digits)
    assert predictions[0]['model'] == model
    with (out / 'predictions.csv').open(encoding='utf-8', newline='') as file:
        header, *table = csv.reader(file)
    assert header == ['path', *CLASSES]
    assert [row[0] for row in table] == [prediction['path'] for prediction in predictions]
    drawn = sorted(path.relative_to(out / 'images') for path in out.glob('images/**/*.jpg'))
    assert drawn == sorted(Path(folder.name, path.name) for path in folder.iterdir())
    assert len(list(out.glob('attention/**/*.jpg.png'))) == 7
    for path in [out / 'contact_sheet.png', *out.glob('*/**/*.jpg'), *out.glob('*/**/*.png')]:
        assert cv2.imread(str(path)) is not None


def test_scores_are_those_of_the_test_tool(run_tool, coco, model_files, tmp_path):
    out = tmp_path / 'predictions.pkl'
    load_tool('test')(*model_files, '--out', out, '--work-dir', tmp_path / 'work')
    dumped = pickle.loads(out.read_bytes())
    run_tool(coco / 'val2017', *model_files, '--thr', '0', '--out-dir', tmp_path / 'out')
    predictions = records(tmp_path / 'out' / 'predictions.jsonl')
    for item, prediction in zip(dumped, predictions, strict=True):
        assert prediction['path'] == item['img_path']
        scores = dict(zip(prediction['labels'], prediction['scores'], strict=True))
        # Folded batch norms and other batches: a few float32 roundings, of random weights.
        expected = pytest.approx(item['pred_score'].tolist(), abs=1e-5)
        assert [scores[name] for name in CLASSES] == expected


def test_checkpoint_alone(run_tool, coco, model_files, tmp_path):
    args = (coco / 'val2017', '--thr', '0', model_files[1], '--no-config')
    assert run_tool(*args, '--out-dir', tmp_path)[0] == 0
    lines = records(tmp_path / 'predictions.jsonl')
    assert [sorted(line['labels']) for line in lines] == [sorted(CLASSES)] * 7
    model = lines[0]['model']
    assert (model['config'], model['checkpoint']) == (None, 'tiny.pth')
    image = coco / 'val2017' / '000000000001.jpg'  # and without a folder
    printed = run_tool(image, model_files[1], '--no-config', '--thr', '1')[1]
    assert printed.split() == [str(image), '-']


def test_unreadable_images_are_listed_and_the_rest_is_predicted(run_tool, model_files, tmp_path):
    good = write_images(tmp_path / 'images', 3)
    (tmp_path / 'images' / 'broken.jpg').write_bytes(b'not an image')
    (tmp_path / 'list.txt').write_text('# gone\ngone.jpg\n')
    out = tmp_path / 'out'
    inputs = (tmp_path / 'images', tmp_path / 'list.txt', *model_files)
    status, _, errors = run_tool(*inputs, '--out-dir', out)
    assert status == 1
    failed = records(out / 'failed.jsonl')
    broken, gone = str(tmp_path / 'images' / 'broken.jpg'), str(tmp_path / 'gone.jpg')
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
def test_resumes_after_a_kill(run_tool, model_files, tmp_path):
    paths = write_images(tmp_path / 'images', 40)
    out, partial = tmp_path / 'out', tmp_path / 'out' / 'partial' / 'predictions.0.jsonl'
    args = [str(tmp_path / 'images'), *model_files, '--thr', '0.3', '--images', '--csv']
    process = subprocess.Popen(
        [sys.executable, TOOL, *args, '--out-dir', out, '--batch-size', '1'],
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
    paths = write_images(tmp_path / 'images', 9)
    Path(paths[3]).write_bytes(b'not an image')
    (tmp_path / 'list.txt').write_text('\n'.join([paths[5], paths[0], paths[3], paths[5]]))
    args = (tmp_path / 'list.txt', tmp_path / 'images', *model_files, '--thr', '0.3', '--images')
    printed = run(
        *(sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', '2'),
        *(TOOL, *args, '--out-dir', tmp_path / 'two', '--batch-size', '1', '--device', 'cpu'),
        check=False,
    )
    assert '1 of 13 images could not be read' in printed, printed
    assert sum(line.startswith(str(tmp_path)) for line in printed.splitlines()) == 8, printed
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
    write_images(tmp_path, 2)
    args = (tmp_path, *model_files, '--images', '--out-dir', tmp_path)
    assert run_tool(*args)[0] == 0
    assert '2 of 2 images were predicted before' in run_tool(*args)[1]
    status, _, error = run_tool(tmp_path / 'images', *model_files, '--out-dir', tmp_path)
    assert (status, 'no image among the inputs but what was drawn in' in error) == (2, True)


def test_other_settings_need_overwrite(run_tool, coco, model_files, tmp_path):
    args = (coco / 'val2017', *model_files, '--out-dir', tmp_path / 'out')
    assert run_tool(*args, '--thr', '0.3')[0] == 0
    for more, message in (
        (('--thr', '0.4', '--topk', '1'), 'topk was None and is 1'),
        (
            ('--thr', '0.3', '--cfg-options', 'test_dataloader.dataset.pipeline.1.scale=(64,64)'),
            'model_and_pipeline_sha256 was',
        ),
    ):
        status, _, error = run_tool(*args, *more)
        assert (status, 'other settings' in error, message in error) == (2, True, True)
    assert run_tool(*args, '--thr', '0.4', '--overwrite')[0] == 0
    written = records(tmp_path / 'out' / 'predictions.jsonl')
    assert {thr for prediction in written for thr in prediction['thresholds']} <= {0.4}


MODEL = '{images} {config} {ckpt}'


@pytest.mark.parametrize(
    ('args', 'message', 'advised'),
    [
        (f'{MODEL} --csv', '--csv needs --out-dir', f'{MODEL} --csv --out-dir out'),
        (
            f'{MODEL} --per-head --out-dir out',
            '--per-head needs --attention',
            f'{MODEL} --per-head --attention --out-dir out',
        ),
        (
            f'{MODEL} --attention --out-dir out --backend onnx',
            '--attention needs torch',
            f'{MODEL} --attention --out-dir out --backend torch',
        ),
        (f'{MODEL} --thr best', "must be in [0, 1] or 'tuned', but got 'best'", f'{MODEL} --thr 1'),
        (f'{MODEL} --thr tuned', 'or name one number for all classes', f'{MODEL} --thr 0.3'),
        (f'{MODEL} --cfg-options model.head.embed_dims=8', 'does not fit this config', MODEL),
        ('{images} {ckpt}', 'are required: INPUT CONFIG CHECKPOINT', MODEL),
        ('{ckpt} --no-config', 'are required: INPUT CHECKPOINT', '{images} {ckpt} --no-config'),
        ('{images} {ckpt} --no-config --cfg-options a=1', '--cfg-options changes a CONFIG', MODEL),
        (
            '{images}/000000000001.JPG {config} {ckpt}',
            'near: 000000000001.jpg',
            '{images}/000000000001.jpg {config} {ckpt}',
        ),
        ('{images} {config} {config}', 'is not a checkpoint', MODEL),
        (
            '{images} {bare} --no-config',
            'carries no config (meta.cfg): name a config file that you trust',
            '{images} {config} {bare}',
        ),
        (f'old.jpg {MODEL} --out-dir mixed', 'Name another --out-dir', f'{MODEL} --out-dir other'),
        (
            f'{MODEL} --out-dir mixed',
            'replace them with --overwrite',
            f'{MODEL} --out-dir mixed --overwrite',
        ),
    ],
)
def test_what_is_wrong_ends_in_one_line_whose_advice_helps(
    coco, model_files, capsys, monkeypatch, tmp_path, args, message, advised
):
    monkeypatch.chdir(tmp_path)
    Path('mixed').mkdir()
    Path('mixed/predictions.jsonl').write_text('{"path": "old.jpg"}\n')
    Path('old.jpg').touch()
    config, checkpoint = model_files
    content = torch.load(checkpoint, weights_only=True)
    del content['meta']['cfg']
    torch.save(content, 'bare.pth')
    names = dict(images=coco / 'val2017', config=config, ckpt=checkpoint, bare='bare.pth')
    main = load_main('infer')
    assert message in refusal(capsys, main, args.format(**names).split())
    main(advised.format(**names).split())
