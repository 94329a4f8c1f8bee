"""Every operation at every level is compared with the Pillow call that the recipe makes.

Operations and draws are also compared with what the authors' package and PaddleClas gave, recorded;
``tests/peers/test_augmentation.py`` runs the peers themselves.
"""

import json
from pathlib import Path

import cv2
import numpy as np
import our_augmentation
import pytest
from augmentation_cases import CASES, CENTER, SIGNED, case_key, count_draws, sample_image, summary
from mmpretrain.registry import TRANSFORMS
from PIL import Image, ImageEnhance, ImageOps

from mmpretrain_mldecoder.datasets.transforms import TwoOpRandAugment
from mmpretrain_mldecoder.datasets.transforms.two_op_rand_augment import OPERATIONS

RECORD = json.loads((Path(__file__).parents[2] / 'recorded/paddleclas_augment.json').read_text())
NAMES = [operation.name for operation in OPERATIONS]
SHARE_APART = our_augmentation.SHARE_APART  # in photos; few pixels may be 1 grey level apart
MANY_VALUES = 10_000


def affine(matrix, filter_name):
    """Pillow's affine transform with grey outside; `matrix` is a function of the size."""
    return lambda img: img.transform(
        img.size,
        Image.Transform.AFFINE,
        matrix(*img.size),
        Image.Resampling[filter_name],
        fillcolor=(128, 128, 128),
    )


def rotated(degrees):
    return lambda img: img.rotate(degrees, Image.Resampling.NEAREST, fillcolor=(128, 128, 128))


def in_pillow(name: str, level: int, sign: int):
    """The Pillow function of an operation, its magnitude written as a fraction of the largest."""
    share = sign * level / 9
    slope, offset = sign * level * (0.3 / 9), 150 / 331 * share  # rounded as by linspace
    return dict(
        shear_x=affine(lambda w, h: (1, slope, 0, 0, 1, 0), 'BICUBIC'),
        shear_y=affine(lambda w, h: (1, 0, 0, slope, 1, 0), 'BICUBIC'),
        translate_x=affine(lambda w, h: (1, 0, offset * w, 0, 1, 0), 'NEAREST'),
        translate_y=affine(lambda w, h: (1, 0, 0, 0, 1, offset * h), 'NEAREST'),
        rotate=rotated(30 * level / 9),
        color=lambda img: ImageEnhance.Color(img).enhance(1 + 0.9 * share),
        contrast=lambda img: ImageEnhance.Contrast(img).enhance(1 + 0.9 * share),
        brightness=lambda img: ImageEnhance.Brightness(img).enhance(1 + 0.9 * share),
        sharpness=lambda img: ImageEnhance.Sharpness(img).enhance(1 + 0.9 * share),
        posterize=lambda img: ImageOps.posterize(img, [8, 8, 7, 7, 6, 6, 5, 5, 4, 4][level]),
        solarize=lambda img: ImageOps.solarize(img, 256 - 256 * level / 9),
        autocontrast=ImageOps.autocontrast,
        equalize=ImageOps.equalize,
        invert=ImageOps.invert,
    )[name]


def synthetic_image(height: int, width: int) -> np.ndarray:
    """BGR: gradients, hard edges, noise, black and white corners, and no symmetry."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:height, :width]
    img = np.stack([columns * 199 // width, rows * 255 // height, 40 + (rows + columns) % 151], -1)
    img[height // 4 : height // 2, width // 3 :] = (220, 30, 90)
    img[height // 2 :, : width // 3] = rng.integers(0, 256, (height - height // 2, width // 3, 3))
    img[:3, :4], img[-3:, -4:] = 0, 255
    return img.astype(np.uint8)


def noise(height: int, width: int, low: int, high: int) -> np.ndarray:
    rng = np.random.default_rng(100 * height + width)
    return rng.integers(low, high, (height, width, 3), dtype=np.uint8)


@pytest.fixture(scope='module', params=['synthetic', 'photos', 'small'])
def images(request) -> list[np.ndarray]:
    """Read-only BGR images: of odd sizes, of about 300 px, and of few pixels and values."""
    if request.param == 'synthetic':
        images = [synthetic_image(97, 41), synthetic_image(38, 120)]
    elif request.param == 'photos':
        folder = request.getfixturevalue('shared_data') / 'coco_tiny' / 'val2017'
        photos = [cv2.imread(str(folder / f'{name:012d}.jpg')) for name in (125952, 331799)]
        images = [photo[::2, ::2].copy() for photo in photos]
    else:
        sizes = [(1, 1), (1, 7), (6, 1), (2, 2), (3, 3), (31, 4), (4, 31)]
        values = [(0, 256), (60, 64), (200, 201)]
        images = [noise(*size, *limits) for size in sizes for limits in values]
        images.append(np.dstack([noise(40, 50, 9, 10), noise(40, 50, 0, 256)])[..., :3])
    for img in images:
        img.flags.writeable = False  # no operation may write to its input
    return images


@pytest.mark.parametrize('name', [name for name in NAMES if name != 'cutout'])
def test_equals_pillow_at_every_level(images, name):
    operation = OPERATIONS[NAMES.index(name)]
    assert operation.signed == (name in SIGNED)
    levels = name in (*SHARE_APART, 'contrast')
    for level in range(1, 10):
        for sign in (1, -1) if operation.signed else (1,):
            for img in images:
                ours = operation.apply(img, sign * operation.magnitudes[level], 128)
                pillow = in_pillow(name, level, sign)(Image.fromarray(img[..., ::-1]))
                apart = np.abs(ours.astype(int) - np.asarray(pillow)[..., ::-1])
                assert ours.dtype == np.uint8 and ours.shape == img.shape
                where = f'level {level}, sign {sign}, {img.shape}'
                assert apart.max() <= levels, where
                if apart.size > MANY_VALUES:
                    assert (apart > 0).mean() <= SHARE_APART.get(name, 0), where


@pytest.mark.parametrize('level', range(1, 10))
def test_cutout_draws_the_recipes_box(level):
    operation = OPERATIONS[NAMES.index('cutout')]
    half = round(20 * level / 9) // 2
    rows, columns = np.mgrid[:64, :50]
    for seed in range(30):
        np.random.seed(seed)
        ours = operation.apply(np.zeros((64, 50, 3), np.uint8), operation.magnitudes[level], 77)
        np.random.seed(seed)
        y, x = np.random.randint(64), np.random.randint(50)
        inside = (
            (y - half <= rows) & (rows < y + half) & (x - half <= columns) & (columns < x + half)
        )
        expected = inside[..., None] * [113, 122, 125]  # BGR, whatever fill is
        np.testing.assert_array_equal(ours, expected)


@pytest.mark.parametrize('name', ['shear_x', 'shear_y', 'translate_x', 'translate_y', 'rotate'])
def test_fill_is_the_value_outside(name):
    operation = OPERATIONS[NAMES.index(name)]
    ours = operation.apply(np.full((40, 40, 3), 200, np.uint8), operation.magnitudes[9], 7)
    assert set(np.unique(ours)) == {7, 200}


@pytest.mark.parametrize('case', CASES, ids=lambda case: case_key(*case))
def test_equals_the_authors(case):
    ours = summary(our_augmentation.apply(sample_image(), *case))
    theirs = RECORD['outputs']['authors'][case_key(*case)]
    share = SHARE_APART.get(case[0], 0)
    # The first three numbers are sums over 3072 values, the others single values.
    apart = np.abs(np.subtract(ours, theirs))
    assert apart[:3].max() <= share * 3072
    assert apart[3:].max() <= (share > 0)
    assert (apart[3:] > 0).sum() <= 1


def test_paddleclas_differs_from_the_authors_in_the_cutout_only():
    """Its cutout is black and reaches the size to each side of the centre, not half of it."""
    theirs = RECORD['outputs']['paddleclas']
    assert list(theirs) == ['cutout/+3', 'cutout/+6', 'cutout/+9']
    for key, size in zip(theirs, (7, 13, 20), strict=True):
        expected = sample_image()
        box = slice(CENTER - size, CENTER + size)
        expected[box, box] = 0
        assert theirs[key] == summary(expected)


def test_draws_have_the_expected_distribution():
    our_augmentation.assert_expected_draws(count_draws(our_augmentation.draw(10_000)))


@pytest.mark.parametrize('peer', ['authors', 'paddleclas'])
def test_draws_of_the_peers_have_the_same(peer):
    counts = RECORD['draws'][peer]
    assert sum(counts['number']) == 10_000
    our_augmentation.assert_expected_draws(counts)


def test_follows_numpys_global_seed():
    img = synthetic_image(40, 50)
    transform = TRANSFORMS.build(dict(type='TwoOpRandAugment'))

    def run(seed):
        np.random.seed(seed)
        return [transform(dict(img=img))['img'] for _ in range(20)]

    first, again, other = run(1), run(1), run(2)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_input_is_left_alone_and_flipped_input_is_taken():
    img = synthetic_image(40, 50)
    before = img.copy()
    transform = TwoOpRandAugment(fill=0)
    np.random.seed(0)
    for view in (img, img[:, ::-1]):
        for _ in range(60):
            out = transform(dict(img=view))['img']
            assert out.shape == img.shape and out.dtype == np.uint8
    np.testing.assert_array_equal(img, before)


@pytest.mark.parametrize('fill', [-1, 256, 0.5, None])
def test_fill_out_of_range(fill):
    with pytest.raises(ValueError, match=f'0..255, not {fill}'):
        TwoOpRandAugment(fill=fill)
