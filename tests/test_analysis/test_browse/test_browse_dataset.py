import json

import cv2
import numpy as np
import pytest
import torch
from coco_dataset import coco_split
from faulty_images import encoded, faulty_files, photo, write_dataset
from mmengine.config import Config
from rich.console import Console

from mmpretrain_mldecoder.analysis.browse.browse_dataset import augmented_images, browse_dataset
from mmpretrain_mldecoder.analysis.browse.dataset_findings import image_findings
from mmpretrain_mldecoder.analysis.browse.dataset_split import read_split
from mmpretrain_mldecoder.analysis.browse.findings import FINDING_KINDS, print_findings
from mmpretrain_mldecoder.engine import PortableRunner

FAULTY = faulty_files()


def config(root, flip: float = 0.0) -> Config:
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='SquareResize', scale=32),
        dict(type='RandomFlip', prob=flip),
        dict(type='PackInputs'),
    ]
    loaders = {
        f'{split}_dataloader': dict(dataset=coco_split(root, split, pipeline=pipeline))
        for split in ('train', 'val')
    }
    return Config(dict(default_scope='mmpretrain', **loaders))


@pytest.fixture(scope='module')
def faulty(tmp_path_factory):
    """Every fault in train; in val, two of train's images, and one of its own twice."""
    root = tmp_path_factory.mktemp('faulty')
    train = {name: content for name, (content, _) in FAULTY.items()}
    val = {
        'own.jpg': encoded(photo(100)),
        'copied.jpg': train['plain.jpg'],
        'encoded_again.jpg': encoded(photo(1), quality=60),
        'twice.jpg': encoded(photo(101)),
        'twice.png': encoded(photo(101), 'PNG'),
    }
    labels = {'plain.jpg': [], 'own.jpg': [1]}
    write_dataset(root / 'data', dict(train=train, val=val), labels)
    return browse_dataset(config(root / 'data'), root / 'out', images=3, draws=2), root


def test_every_fault_is_in_the_json(faulty):
    _, root = faulty
    content = json.loads((root / 'out/findings.json').read_text())
    found = {(f['code'], *f['splits']): f['entries'] for f in content['findings']}
    expected = {}
    for name, (_, codes) in FAULTY.items():
        for code in codes:
            expected.setdefault((code, 'train'), set()).add(name)
    for key, names in expected.items():
        entries = found.pop(key)
        assert {entry['path'].rsplit('/', 1)[1] for entry in entries} == names, key
        assert len(entries) == len(names), key
    assert found.pop(('no_positives_train', 'train')) == [
        dict(label='other', elsewhere=dict(val=1))
    ]
    assert [e['path'][-9:] for e in found.pop(('unlabelled', 'train'))] == ['plain.jpg']
    same = {
        tuple(p['path'].rsplit('/', 1)[1] for p in entry['images']): entry['how']
        for entry in found.pop(('in_several_splits', 'train', 'val'))
    }
    assert same == {
        ('plain.jpg', 'copied.jpg'): 'equal files',
        ('plain.png', 'encoded_again.jpg'): 'look the same',
    }
    (twice,) = found.pop(('twice_in_split', 'val'))
    assert [p['path'].rsplit('/', 1)[1] for p in twice['images']] == ['twice.jpg', 'twice.png']
    assert found == {}
    train = content['splits']['train']
    assert train['images'] == len(FAULTY)
    assert train['images_with_label'] == dict(thing=len(FAULTY) - 1, other=0)


def test_files_and_table(faulty, capsys):
    browsed, root = faulty
    names = ['findings.json', 'label_counts.png', 'labels_per_image.png']
    names += ['sheet_train.png', 'sheet_val.png']
    assert [path.name for path in browsed.files] == names
    assert sorted(path.name for path in (root / 'out').iterdir()) == names
    for path in browsed.files[1:]:
        assert min(cv2.imread(str(path)).shape[:2]) > 150
    console = Console(width=110)
    print_findings(browsed.findings, browsed.splits, browsed.looked_for, console)
    printed = capsys.readouterr().out
    assert browsed.is_harmful
    for finding in browsed.findings:
        assert FINDING_KINDS[finding.code][0] in printed
    assert max(map(len, printed.splitlines())) <= 110
    assert 'val: twice.jpg = val: twice.png (look' in printed
    assert 'not found: labels without an image in val or test' in printed


def small(root, **splits) -> Config:
    files = {
        split: {f'{seed}.jpg': encoded(photo(seed)) for seed in seeds}
        for split, seeds in splits.items()
    }
    labels = {f'{seed}.jpg': [0, 1] for seeds in splits.values() for seed in seeds}
    write_dataset(root / 'data', files, labels)
    return config(root / 'data', flip=0.5)


def test_a_clean_dataset_has_no_finding_and_the_same_sheets_each_time(tmp_path):
    cfg = small(tmp_path, train=range(6), val=range(6, 9))
    contents = []
    for i in range(2):
        np.random.seed(i)
        browsed = browse_dataset(cfg, tmp_path / f'{i}', images=3, workers=1)
        contents.append({path.name: path.read_bytes() for path in browsed.files})
    assert contents[0] == contents[1] and 'cooccurrence.png' in contents[0]
    assert browsed.findings == [] and not browsed.is_harmful


def test_only_what_was_asked_for(tmp_path):
    cfg = small(tmp_path, train=range(4), val=range(2))
    browsed = browse_dataset(cfg, tmp_path / 'a', ['val'], images=0, read_files=False)
    assert list((tmp_path / 'a').glob('sheet*')) == []
    assert 'unlabelled' in browsed.looked_for and 'missing' not in browsed.looked_for
    quick = browse_dataset(cfg, tmp_path / 'b', images=0, quick=True)
    assert 'damaged' not in quick.looked_for
    # equal files are found without decoding
    assert [(f.code, len(f.entries)) for f in quick.findings] == [('in_several_splits', 2)]


def test_numbers_out_of_range_and_classes_that_differ(tmp_path):
    for name, number in (('images', -1), ('draws', 0), ('workers', 0)):
        with pytest.raises(ValueError, match=f'{name} must be at least {number + 1}, but got'):
            browse_dataset(Config({}), tmp_path, **{name: number})
    cfg = small(tmp_path, train=range(2), val=range(2))
    cfg.val_dataloader.dataset.classes = ('other', 'thing')
    with pytest.raises(ValueError, match="train and val differ: 2 and 2, label 0 is 'thing'"):
        browse_dataset(cfg, tmp_path / 'out')


def test_real_photos_have_no_fault_but_a_few_grey_ones(shared_data):
    cfg = config(shared_data / 'coco_tiny')
    findings = image_findings([read_split(cfg, name) for name in ('train', 'val')])
    assert {(f.code, *f.splits) for f in findings} == {('greyscale', s) for s in ('train', 'val')}
    for finding in findings:
        for entry in finding.entries:
            pixels = cv2.imread(entry['path']).astype(int)
            assert np.ptp(pixels, axis=2).max() <= 2


PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='SquareResize', scale=24),
    dict(type='RandomCutout', size=0.5),
    dict(type='PackInputs'),
]


@pytest.fixture
def cfg(tmp_path) -> Config:
    files = {f'{seed}.png': encoded(photo(seed), 'PNG') for seed in range(7)}
    root = write_dataset(tmp_path / 'data', dict(train=files), {'3.png': [0, 1], '4.png': []})
    loader = dict(
        dataset=coco_split(root, pipeline=PIPELINE),
        batch_size=7,
        num_workers=0,
        sampler=dict(type='SeededSampler', shuffle=True),
        collate_fn=dict(type='default_collate'),
    )
    return Config(dict(default_scope='mmpretrain', train_dataloader=loader))


def test_draws_are_what_training_sees(cfg):
    images = augmented_images(read_split(cfg, 'train'), images=7, draws=2, seed=5)
    loader = PortableRunner.build_dataloader(cfg.train_dataloader, seed=5)
    for epoch in range(2):
        loader.sampler.set_epoch(epoch)
        (batch,) = loader
        for inputs, sample in zip(batch['inputs'], batch['data_samples'], strict=True):
            drawn = images[sample.sample_idx].tiles[f'epoch {1 + epoch}, 24 x 24']
            assert torch.equal(torch.from_numpy(drawn).permute(2, 0, 1), inputs)
    assert [image.title for image in images] == [f'{i}.png' for i in range(7)]
    assert [list(images[i].labels) for i in (2, 3, 4)] == [['thing'], ['thing', 'other'], []]
    assert [*images[0].tiles] == ['original, 80 x 60', 'epoch 1, 24 x 24', 'epoch 2, 24 x 24']
    assert np.array_equal(images[0].tiles['original, 80 x 60'][..., ::-1], photo(0))


def test_some_are_chosen_broken_ones_are_not_and_random_states_stay(cfg):
    split = read_split(cfg, 'train')
    np.random.seed(3)
    expected = np.random.rand()
    np.random.seed(3)
    titles = [[p.title for p in augmented_images(split, 3, 1, seed)] for seed in (0, 0, 1)]
    assert titles[0] == titles[1] != titles[2]
    assert np.random.rand() == expected
    rest = augmented_images(split, 7, 1, broken=set(split.paths[1:]))
    assert [image.title for image in rest] == ['0.png']


def test_a_pipeline_that_fails_is_named(cfg):
    cfg.train_dataloader.dataset.pipeline = [PIPELINE[0], dict(type='NumpyToPIL'), *PIPELINE[1:]]
    with pytest.raises(ValueError, match=r'the train pipeline fails on .*0\.png'):
        augmented_images(read_split(cfg, 'train'), 7, 1)
    cfg.train_dataloader.dataset.pipeline = PIPELINE[:2]
    with pytest.raises(ValueError, match='end it with PackInputs'):
        augmented_images(read_split(cfg, 'train'), 7, 1)
