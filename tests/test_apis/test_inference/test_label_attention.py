import numpy as np
import pytest
import torch

from mmpretrain_mldecoder.apis.inference.label_attention import label_attention, seen_image


def test_maps_of_a_shared_query():
    # 5 classes, 3 queries of 2: the last one answers for one class only.
    maps = torch.rand(4, 3, 2, 6)
    got = label_attention(maps, 2, [4, 0, 1], 'abcde')
    assert got['shares_query_with'] == [[], ['b'], ['a']]
    assert got['attention'].dtype == np.float32
    assert got['attention'].shape == (3, 4, 2, 6)
    for row, query in enumerate((2, 0, 0)):
        np.testing.assert_array_equal(got['attention'][row], maps[:, query].numpy())


def test_no_label():
    got = label_attention(torch.rand(4, 3, 2, 6), 2, [], 'abcde')
    assert got['attention'].shape == (0, 4, 2, 6)
    assert got['shares_query_with'] == []


@pytest.mark.parametrize(
    ('original', 'shape'),
    [
        (None, (8, 8)),
        ((480, 640), (8, 11)),
        ((640, 480), (11, 8)),
        ((50, 50), (8, 8)),
    ],
)
def test_seen_image_has_the_aspect_of_the_photo(original, shape):
    packed = torch.full((3, 8, 8), 7, dtype=torch.uint8)
    packed[0] = 200
    image = seen_image(packed, original)
    assert (image.dtype, image.shape) == (np.uint8, (*shape, 3))
    assert (image == (200, 7, 7)).all()


def test_grey_and_float_images():
    image = seen_image(torch.tensor([[[-3.0, 300.0]]]), None)
    np.testing.assert_array_equal(image, [[[0, 0, 0], [255, 255, 255]]])
