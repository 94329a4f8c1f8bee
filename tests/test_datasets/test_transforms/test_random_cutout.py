"""One seed on a black and on a white image shows the box: it is where the results agree."""

import numpy as np
import pytest
from mmpretrain.registry import TRANSFORMS

from mmpretrain_mldecoder.datasets.transforms import RandomCutout


def cut(transform, height: int, width: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the mask of hidden pixels and the colours in it."""
    outs = []
    for value in (0, 255):
        np.random.seed(seed)
        outs.append(transform(dict(img=np.full((height, width, 3), value, np.uint8)))['img'])
    hidden = (outs[0] == outs[1]).all(-1)
    assert (outs[0][~hidden] == 0).all() and (outs[1][~hidden] == 255).all()
    return hidden, outs[0][hidden]


@pytest.mark.parametrize(
    'size, sides',
    [(0.5, (20, 30)), (0.3, (12, 18)), (1.0, (40, 60)), (14, (14, 14)), (1.5e-2, (1, 1))],
)
def test_box_and_colour(size, sides):
    transform = TRANSFORMS.build(dict(type='RandomCutout', size=size))
    half_y, half_x = sides[0] // 2, sides[1] // 2
    for seed in range(50):
        hidden, colors = cut(transform, 40, 60, seed)
        np.random.seed(seed)
        y, x = np.random.randint(40), np.random.randint(60)
        rows, columns = np.mgrid[:40, :60]
        expected = (rows >= y - half_y) & (rows < y + half_y)
        expected &= (columns >= x - half_x) & (columns < x + half_x)
        np.testing.assert_array_equal(hidden, expected)
        assert len(np.unique(colors, axis=0)) <= 1


def test_centre_and_colour_are_uniform():
    """Chi-square per cell is 1 on average; the bounds are 5 standard deviations."""
    np.random.seed(0)
    transform, height, width, count = RandomCutout(2), 5, 4, 4000
    centers, colors = np.zeros((height, width)), np.zeros((3, 16))
    for _ in range(count):
        img = transform(dict(img=np.zeros((height, width, 3), np.uint8)))['img']
        rows, columns = img.any(-1).nonzero()
        if len(rows):  # a black box, once in 2 ** 24
            centers[rows.max(), columns.max()] += 1  # the box ends at its centre
            colors[range(3), img[rows[0], columns[0]] // 16] += 1
    for counts in (centers.ravel(), *colors):
        expected = count / len(counts)
        bound = 1 + 5 * (2 / len(counts)) ** 0.5
        assert ((counts - expected) ** 2 / expected).mean() < bound


def test_colour_reaches_both_ends():
    np.random.seed(0)
    img = np.full((1, 1, 3), 9, np.uint8)
    colors = np.stack([RandomCutout(2)(dict(img=img.copy()))['img'][0, 0] for _ in range(4000)])
    assert colors.min() == 0 and colors.max() == 255
    assert np.abs(np.corrcoef(colors.T) - np.eye(3)).max() < 0.08  # the channels are independent


def test_writes_to_the_array_unless_it_is_read_only():
    img = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    before = img.copy()
    img.flags.writeable = False
    for view in (img, img[:, ::-1]):  # a flip leaves negative strides
        out = RandomCutout(0.5)(dict(img=view))['img']
        assert out.shape == (20, 30, 3) and (out != view).any()
    np.testing.assert_array_equal(img, before)
    img.flags.writeable = True
    assert RandomCutout(0.5)(dict(img=img))['img'] is img


@pytest.mark.parametrize('size', [0, 0.0, -3, 1.01, '0.5', None])
def test_size_out_of_range(size):
    with pytest.raises(ValueError, match=r'float in \(0, 1\].*not ' + repr(size)):
        RandomCutout(size)
