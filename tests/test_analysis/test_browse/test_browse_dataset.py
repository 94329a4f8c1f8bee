import json

import cv2
import numpy as np
import pytest
from faulty_images import encoded, faulty_files, photo, write_dataset
from mmengine.config import Config
from rich.console import Console

from mmpretrain_mldecoder.analysis.browse import findings
from mmpretrain_mldecoder.analysis.browse.browse_dataset import browse_dataset
from mmpretrain_mldecoder.analysis.browse.dataset_findings import image_findings
from mmpretrain_mldecoder.analysis.browse.dataset_split import read_split
from mmpretrain_mldecoder.analysis.browse.findings import FINDING_KINDS, print_findings

FAULTY = faulty_files()


def config(root, flip: float = 0.0) -> Config:
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='SquareResize', scale=32),
        dict(type='RandomFlip', prob=flip),
        dict(type='PackInputs'),
    ]
    loaders = {
        f'{split}_dataloader': dict(
            dataset=dict(
                type='COCOMultiLabel',
                data_root=str(root),
                ann_file=f'annotations/instances_{split}2017.json',
                data_prefix=f'{split}2017',
                pipeline=pipeline,
            )
        )
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


def test_everything_is_written_and_whole(faulty):
    browsed, root = faulty
    names = ['findings.json', 'label_counts.png', 'labels_per_image.png']
    names += ['sheet_train.png', 'sheet_val.png']
    assert sorted(path.name for path in browsed.files) == sorted(names)
    assert sorted(path.name for path in (root / 'out').iterdir()) == sorted(names)
    for path in browsed.files[1:]:
        assert min(cv2.imread(str(path)).shape[:2]) > 150


def test_the_table_has_a_row_for_each_finding(faulty, capsys):
    browsed, _ = faulty
    console = Console(width=110)
    print_findings(browsed.findings, browsed.splits, browsed.looked_for, console)
    printed = capsys.readouterr().out
    assert browsed.is_harmful
    for finding in browsed.findings:
        assert FINDING_KINDS[finding.code].title in printed
    assert max(map(len, printed.splitlines())) <= 110
    assert 'val/twice.jpg = val/twice.png (look' in printed
    assert 'not found: labels without an image in val or test' in printed


def small(root, **splits) -> Config:
    files = {
        split: {f'{seed}.jpg': encoded(photo(seed)) for seed in seeds}
        for split, seeds in splits.items()
    }
    labels = {f'{seed}.jpg': [0, 1] for seeds in splits.values() for seed in seeds}
    write_dataset(root / 'data', files, labels)
    return config(root / 'data', flip=0.5)


def test_a_clean_dataset_has_no_finding(tmp_path):
    browsed = browse_dataset(small(tmp_path, train=range(6), val=range(6, 9)), tmp_path / 'out')
    assert browsed.findings == []
    assert not browsed.is_harmful
    assert 'cooccurrence.png' in {path.name for path in browsed.files}


def test_the_same_sheets_come_each_time(tmp_path):
    cfg = small(tmp_path, train=range(6), val=range(6, 9))
    contents = []
    for i in range(2):
        np.random.seed(i)
        browsed = browse_dataset(cfg, tmp_path / f'{i}', ['train'], images=3, workers=1)
        contents.append({path.name: path.read_bytes() for path in browsed.files})
    assert contents[0] == contents[1]


def test_only_what_was_asked_for(tmp_path, monkeypatch):
    cfg = small(tmp_path, train=range(4), val=range(2))
    browsed = browse_dataset(cfg, tmp_path / 'a', ['val'], images=0, read_files=False)
    assert sorted(path.name for path in (tmp_path / 'a').glob('sheet*')) == []
    assert browsed.looked_for == ['no_positives_train', 'no_positives', 'unlabelled']
    quick = browse_dataset(cfg, tmp_path / 'b', images=0, quick=True)
    assert 'damaged' not in quick.looked_for
    # equal files are found without decoding
    assert [(f.code, len(f.entries)) for f in quick.findings] == [('in_several_splits', 2)]


def test_an_older_json_stays_if_writing_fails(tmp_path, monkeypatch):
    out = tmp_path / 'findings.json'
    out.write_text('older')
    monkeypatch.setattr(findings.json, 'dumps', lambda *args, **kwargs: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        findings.write_findings([], [], out)
    assert (out.read_text(), len(list(tmp_path.iterdir()))) == ('older', 1)


def test_numbers_out_of_range(tmp_path):
    for name, number in (('images', -1), ('draws', 0), ('workers', 0)):
        with pytest.raises(ValueError, match=f'{name} must be at least {number + 1}, but got'):
            browse_dataset(Config({}), tmp_path, **{name: number})


def test_classes_that_differ(tmp_path):
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
