import shutil

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from tiny_classifier import CLASSES, write_classifier

from mmpretrain_mldecoder.analysis.web_demo.demo_view import attention_of, predict_photo
from mmpretrain_mldecoder.apis import MultiLabelInferencer


def test_photo_has_the_scores_of_the_inferencer(inferencer, photo):
    found = predict_photo(inferencer, photo)
    (expected,) = inferencer(photo, thr=0, return_attention=True)
    assert found['labels'] == expected['labels']
    assert found['scores'] == expected['scores']
    assert sorted(found['labels']) == CLASSES
    assert np.array_equal(found['attention'], expected['attention'])
    assert np.array_equal(found['seen'], expected['seen'])


def test_upload_is_never_taken_for_other_files(inferencer, photo, tmp_path):
    listing = tmp_path / 'list.txt'
    listing.write_text(photo)
    other, strange = tmp_path / 'a.jpg', tmp_path / '[ab]*.jpg'  # a pattern, for the inferencer
    for path in (other, strange):
        shutil.copy(photo, path)
    assert predict_photo(inferencer, str(strange))['scores']
    strange.unlink()
    other.write_bytes(b'\xff\xd8\xff\xe0 cut off')
    for path in (listing, strange, other):
        with pytest.raises(ValueError, match=r'^This file cannot be read as an image\.$'):
            predict_photo(inferencer, str(path))


def test_many_classes_are_cut(folder, photo):
    inferencer = MultiLabelInferencer(*write_classifier(folder, 'many'), device='cpu')
    found = predict_photo(inferencer, photo)
    assert len(found['labels']) == 100
    assert found['scores'] == inferencer(photo, thr=0)[0]['scores'][:100]
    _, caption = attention_of(found, found['labels'][7])
    first = int(found['labels'][7].split()[1]) // 49 * 49  # the class that its query begins with
    names = [f'class {i}' for i in range(first, first + 49) if f'class {i}' != found['labels'][7]]
    assert f'also answers for {", ".join(names[:5])} and 43 more.' in caption


def test_head_without_attention_gives_labels_only(folder, photo):
    linear = MultiLabelInferencer(*write_classifier(folder, 'linear'), device='cpu')
    assert 'attention' in predict_photo(linear, photo)
    linear.model.neck = torch.nn.Sequential(linear.model.neck)  # one that nothing is known of
    assert predict_photo(linear, photo).keys() == {'index', 'labels', 'scores'}


@pytest.mark.parametrize('shape', [(32, 48), (700, 900)])
def test_overlay_is_of_the_chosen_label_and_large_enough(shape):
    maps = np.zeros((2, 2, 2, 3), np.float32)
    maps[0, :, 0, 0] = maps[1, :, 1, 2] = 1
    found = dict(
        labels=['dog', 'cat'],
        attention=maps,
        attention_kind='attention',
        shares_query_with=[[], ['cow']],
        seen=np.full((*shape, 3), 100, np.uint8),
    )
    bright = {}
    for label in found['labels']:
        overlay, caption = attention_of(found, label)
        height, width = overlay.shape[:2]
        assert (height, width) == ((427, 640) if shape == (32, 48) else shape)
        lightness = cv2.cvtColor(overlay, cv2.COLOR_RGB2GRAY)
        row, column = np.unravel_index(lightness.argmax(), lightness.shape)
        bright[label] = (row >= height / 2, column >= width / 2)
        assert f'**{label}**' in caption
        words = 'Attention, the mean of its 2 heads on 2 × 3 cells; the strongest has 6.0 times'
        assert words in caption
        assert ('also answers for cow.' in caption) == (label == 'cat')
    assert bright == dict(dog=(False, False), cat=(True, True))


def test_image_of_too_many_pixels_is_not_decoded(tmp_path, monkeypatch):
    path = tmp_path / 'bomb.png'
    Image.new('1', (20_000, 20_000)).save(path)  # 50 kB
    with pytest.raises(ValueError, match='more than 50 million pixels'):
        predict_photo(None, str(path))  # refused before the inferencer is asked
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 1000)  # where Pillow itself refuses
    with pytest.raises(ValueError, match='more than 50 million pixels'):
        predict_photo(None, str(path))
