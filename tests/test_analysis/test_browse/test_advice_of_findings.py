"""The fix of each finding, followed: it is gone, and no harm takes its place."""

import io
import json

import cv2
import numpy as np
import pytest
from coco_dataset import coco_split
from faulty_images import encoded, faulty_files, photo, write_dataset
from mmengine.config import Config
from PIL import Image

from mmpretrain_mldecoder.analysis.browse.dataset_findings import image_findings, label_findings
from mmpretrain_mldecoder.analysis.browse.dataset_split import read_split
from mmpretrain_mldecoder.analysis.browse.findings import FINDING_KINDS

FAULTY = {name: content for name, (content, _) in faulty_files().items()}
FINE = encoded(photo(200))


def codes(root, val=False, loader='LoadImageFromFile', loading=None, **options) -> set[str]:
    pipeline = [dict(type=loader, **(loading or {}))]
    splits = ['train', *(['val'] if val else [])]
    config = Config(dict(default_scope='mmpretrain'))
    for split in splits:
        dataset = coco_split(root, split, pipeline=pipeline, **options)
        config[f'{split}_dataloader'] = dict(dataset=dataset)
    read = [read_split(config, split) for split in splits]
    return {finding.code for finding in label_findings(read) + image_findings(read, workers=0)}


def saved_in(mode, **options):
    """Convert, as an image editor does, without a change of size."""

    def convert(content):
        image = Image.open(io.BytesIO(content))
        if mode == 'RGB' and 'A' in image.mode:
            background = Image.new('RGBA', image.size, 'white')
            image = Image.alpha_composite(background, image.convert('RGBA'))
        return encoded(np.asarray(image.convert(mode)), **options)

    return convert


def stretched(content):
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    pixels = cv2.normalize(pixels, None, 0, 255, cv2.NORM_MINMAX, cv2.CV_8U)
    return cv2.imencode('.png', pixels)[1].tobytes()


def again(content):
    return FINE


# Of each code: files that have it, and what the fix makes of their contents (None: removes them).
OF_FILES = {
    'missing': ('absent.jpg', again),
    'unreadable': ('text.jpg', None),
    'truncated': ('half.jpg', again),
    'blank': ('dim.png', stretched),
    'damaged': ('damaged.jpg', again),
    'cmyk': ('cmyk.jpg', saved_in('RGB')),
    'alpha': ('alpha.png', saved_in('RGB', format='PNG')),
    'deep': ('deep.png', stretched),
}


@pytest.mark.parametrize('code', OF_FILES)
def test_advice_about_files(tmp_path, code):
    name, fix = OF_FILES[code]
    files = {'fine.jpg': encoded(photo(300)), name: FAULTY[name]}
    labels = {name: [0, 1], 'fine.jpg': [0, 1]}
    found = codes(write_dataset(tmp_path / 'before', dict(train=files), labels))
    assert code in found
    if fix is None:
        del files[name]
    else:
        files[name] = fix(files[name])
    found = codes(write_dataset(tmp_path / 'after', dict(train=files), labels))
    assert not found - {'greyscale'}


LARGEST = [dict(loader='LoadWholeImage', loading=dict(max_pixels=n)) for n in (99, 4800)]
TURNING = [
    dict(loading=dict(color_type='color_ignore_orientation')),
    dict(loader='LoadWholeImage', loading=dict(color_type='color')),
]


@pytest.mark.parametrize(
    ('code', 'name', 'labels', 'before', 'after'),
    [
        ('too_large', 'plain.png', [0, 1], *LARGEST),
        ('rotated_ignored', 'turned.jpg', [0, 1], *TURNING),
        ('unlabelled', 'plain.png', [], {}, dict(keep_unlabelled=False)),
        ('no_positives_train', 'plain.png', [1], {}, dict(classes=['other'])),
    ],
)
def test_advice_about_options(tmp_path, code, name, labels, before, after):
    files = {'fine.jpg': encoded(photo(300)), name: FAULTY[name]}
    all_labels = {'fine.jpg': labels or [0, 1], name: labels}
    root = write_dataset(tmp_path, dict(train=files), all_labels)
    assert code in codes(root, **before)
    assert code not in codes(root, **after)


def test_advice_about_splits(tmp_path):
    """One image in train and val, one twice in train; no positive of a class in val."""
    labels = {'a.jpg': [0, 1], 'b.jpg': [0, 1], 'c.jpg': [0]}
    train = {'a.jpg': FINE, 'b.jpg': encoded(photo(1)), 'd.jpg': encoded(photo(1))}
    val = {'c.jpg': FINE}
    found = codes(write_dataset(tmp_path / 'before', dict(train=train, val=val), labels), val=True)
    assert found == {'in_several_splits', 'twice_in_split', 'no_positives'}
    train = {'b.jpg': train['b.jpg'], 'e.jpg': encoded(photo(2)), 'f.jpg': encoded(photo(3))}
    val['b2.jpg'] = encoded(photo(4))  # an image of the class, from train
    labels['b2.jpg'] = [0, 1]
    assert not codes(
        write_dataset(tmp_path / 'after', dict(train=train, val=val), labels), val=True
    )


def test_advice_about_unknown_labels(tmp_path):
    """Of a class no image is known to lack it, of an image nothing is known; then both are."""
    files = {'a.jpg': FINE, 'b.jpg': encoded(photo(1)), 'c.jpg': encoded(photo(2))}
    labels = {'a.jpg': [0, 1], 'b.jpg': [0, 1], 'c.jpg': [0, 1]}
    root = write_dataset(tmp_path, {'train': files, 'val': files}, labels)
    for split in ('train', 'val'):
        path = root / f'annotations/instances_{split}2017.json'
        content = json.loads(path.read_text())
        (of_b,) = (a for a in content['annotations'] if (a['image_id'], a['category_id']) == (1, 1))
        for each in (*(a for a in content['annotations'] if a['image_id'] == 2), of_b):
            each['ignore'] = 1
        path.write_text(json.dumps(content))
    found = codes(root, val=True)
    assert {'no_negatives_train', 'no_negatives', 'unknown_only'} <= found
    assert 'unlabelled' not in found  # nobody knows
    for split in ('train', 'val'):
        path = root / f'annotations/instances_{split}2017.json'
        content = json.loads(path.read_text())
        content['annotations'] = [a for a in content['annotations'] if 'ignore' not in a]
        content['images'] = content['images'][:2]
        path.write_text(json.dumps(content))
    found = codes(root, val=True)
    assert not {'no_negatives_train', 'no_negatives', 'unknown_only', 'unlabelled'} & found


def test_all_other_advice_is_to_do_nothing_or_to_look():
    followed = {*OF_FILES, 'too_large', 'rotated_ignored', 'unlabelled', 'no_positives_train'}
    followed |= {'in_several_splits', 'twice_in_split', 'no_positives'}
    followed |= {'no_negatives_train', 'no_negatives', 'unknown_only'}
    rest = {code: fix for code, (_, _, fix) in FINDING_KINDS.items() if code not in followed}
    assert all(fix.startswith(('nothing to do', 'compare')) for fix in rest.values()), rest
