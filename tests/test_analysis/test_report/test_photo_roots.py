import json
import re

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from prediction_dumps import write_dump

from mmpretrain_mldecoder.analysis.report import write_report
from mmpretrain_mldecoder.analysis.report.images import is_inside, photo_roots

pytest.importorskip('plotly', reason="pip install -e '.[report]'")


def config(**dataset) -> Config:
    dataset = dict(type='COCOMultiLabel', ann_file='absent.json', pipeline=[], **dataset)
    return Config(dict(test_dataloader=dict(dataset=dict(dataset, classes=['ant', 'bee']))))


def test_only_photos_of_the_data_set_are_copied_into_the_page(tmp_path):
    data, private = tmp_path / 'data', tmp_path / 'private'
    for folder in (data / 'val', private):
        folder.mkdir(parents=True)
        cv2.imwrite(str(folder / 'a.jpg'), np.zeros((8, 8, 3), np.uint8))
    (data / 'val' / 'link.jpg').symlink_to(private / 'a.jpg')
    images = [
        str(data / 'val' / 'a.jpg'),
        str(data / 'val' / '..' / '..' / 'private' / 'a.jpg'),
        str(private / 'a.jpg'),
        str(data / 'val' / 'link.jpg'),
        'nul\0.jpg',
    ]
    scores = np.tile(np.float32([0.9, 0.1]), (5, 1))
    targets = np.tile(np.int8([0, 1]), (5, 1))
    dump = write_dump(tmp_path / 'predictions.pkl', scores, targets, images=images)
    page = write_report(config(data_root=str(data), data_prefix='val'), dump, tmp_path / 'report')
    text = re.search(r'id="data"[^>]*>(.*?)</script>', page.read_text('utf-8'), re.DOTALL)[1]
    content = json.loads(text)
    for kind in ('alarms', 'misses'):
        shown = {card['file']: card['photo'] is not None for card in content[kind]}
        assert shown == {image: image == images[0] for image in images}
    assert any(note.startswith('8 of 10 photos are not shown') for note in content['notes'])


def test_folders(tmp_path, monkeypatch):
    elsewhere = tmp_path / 'disk'
    (elsewhere / 'val').mkdir(parents=True)
    (tmp_path / 'data').mkdir()
    (tmp_path / 'data' / 'val').symlink_to(elsewhere / 'val')
    data = tmp_path / 'data'
    expected = sorted(map(str, (data, elsewhere / 'val')))
    for prefix in ('val', dict(img_path='val')):
        roots = photo_roots(config(data_root=str(data), data_prefix=prefix))
        assert roots == expected
    assert is_inside(str(data / 'val' / 'a.jpg'), roots)
    assert not is_inside(str(tmp_path / 'data2' / 'a.jpg'), roots)
    monkeypatch.chdir(tmp_path)
    assert photo_roots(config()) == [str(tmp_path)]
    wrapped = dict(type='RepeatDataset', times=2, dataset=dict(data_root=str(data)))
    wrapped = Config(dict(test_dataloader=dict(dataset=wrapped)))
    assert photo_roots(wrapped) == [str(data)]
