import base64
import io

import numpy as np
from mmengine.config import Config
from PIL import Image
from prediction_dumps import write_dump

from mmpretrain_mldecoder.analysis.report import read_test_run
from mmpretrain_mldecoder.analysis.report.images import (
    error_card,
    image_roots,
    is_inside,
    read_thumbnail,
    worst_errors,
)


def decode(address: str) -> Image.Image:
    assert address.startswith('data:image/jpeg;base64,')
    return Image.open(io.BytesIO(base64.b64decode(address.partition(',')[2])))


def test_worst_errors_by_hand():
    scores = np.array([[0.9, 0.8, 0.1], [0.7, 0.2, 0.3], [0.95, 0.6, 0.4], [0.5, 0.5, 0.5]])
    targets = np.array([[0, 0, 1], [1, 1, -1], [-1, 0, 1], [1, 1, 1]])
    alarms, misses = worst_errors(scores, targets, 10)
    assert alarms == [(0, 0), (2, 1)]  # one an image; unknown is no error
    assert misses == [(0, 2), (1, 1), (2, 2), (3, 0)]
    assert worst_errors(scores, targets, 1) == ([(0, 0)], [(0, 2)])
    assert worst_errors(scores, targets, 0) == ([], [])


def test_thumbnail_is_small_and_upright(tmp_path):
    photo = Image.new('RGB', (900, 300), 'red')
    exif = photo.getexif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    photo.save(tmp_path / 'a.jpg', exif=exif)
    address = read_thumbnail(str(tmp_path / 'a.jpg'))
    assert decode(address).size == (80, 240)
    assert len(address) < 5000
    (tmp_path / 'a.jpg').write_bytes(b'\xff\xd8 no photo')
    assert read_thumbnail(str(tmp_path / 'a.jpg')) is None
    assert read_thumbnail(str(tmp_path / 'absent.jpg')) is None


def test_card(tmp_path):
    Image.new('RGB', (64, 48)).save(tmp_path / 'a.jpg')
    images = [str(tmp_path / 'a.jpg'), 'absent.jpg']
    scores = np.array([[0.25, 0.75], [0.5, 0.5]], np.float32)
    targets = np.array([[1, 0], [1, 1]])
    run = read_test_run(write_dump(tmp_path / 'a.pkl', scores, targets, images=images))
    asked = []

    def attend(image, label):
        asked.append((image, label))
        return 'overlay', ['twin']

    card = error_card(run, (0, 1), 'xy', [str(tmp_path)], attend)
    assert card['label'] == 'y' and card['score'] == 0.75 and card['truth'] == ['x']
    assert card['attention'] == 'overlay' and card['shares'] == ['twin'] and not card['outside']
    card = error_card(run, (1, 0), 'xy', [str(tmp_path)], attend)
    assert card['image'] is None and card['attention'] is None and card['outside']
    assert asked == [(images[0], 1)]


def test_links_to_images_are_shown_and_what_a_name_leads_out_to_is_not(tmp_path):
    data, cache = tmp_path / 'data', tmp_path / 'cache'
    for folder in (data, cache):
        folder.mkdir()
    (cache / 'hash').touch()
    (data / 'a.jpg').symlink_to(cache / 'hash')
    (data / 'folder').symlink_to(cache)
    roots = [str(data)]
    assert is_inside(str(data / 'a.jpg'), roots)
    assert is_inside(str(data / 'folder/hash'), roots)
    assert is_inside(str(data / 'b/../a.jpg'), [*roots, str(cache)])
    assert not is_inside(str(data / '../cache/hash'), roots)
    assert not is_inside(str(data / 'folder/../hash'), roots)
    assert not is_inside(str(cache / 'hash'), roots)
    assert not is_inside('a\0.jpg', roots)


def config(**dataset) -> Config:
    dataset = dict(type='COCOMultiLabel', ann_file='absent.json', pipeline=[], **dataset)
    return Config(dict(test_dataloader=dict(dataset=dict(dataset, classes=['ant', 'bee']))))


def test_folders(tmp_path, monkeypatch):
    elsewhere = tmp_path / 'disk'
    (elsewhere / 'val').mkdir(parents=True)
    (tmp_path / 'data').mkdir()
    (tmp_path / 'data' / 'val').symlink_to(elsewhere / 'val')
    data = tmp_path / 'data'
    expected = sorted(map(str, (data, data / 'val', elsewhere / 'val')))
    for prefix in ('val', dict(img_path='val')):
        roots = image_roots(config(data_root=str(data), data_prefix=prefix))
        assert roots == expected
    monkeypatch.chdir(tmp_path)
    assert image_roots(config()) == [str(tmp_path)]
    wrapped = dict(type='RepeatDataset', times=2, dataset=dict(data_root=str(data)))
    wrapped = Config(dict(test_dataloader=dict(dataset=wrapped)))
    assert image_roots(wrapped) == [str(data)]
