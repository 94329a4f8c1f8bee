import os
import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
from faulty_images import encoded, orientation, photo
from mmcv.transforms import LoadImageFromFile
from mmengine import Config
from mmpretrain.registry import TRANSFORMS
from PIL import Image
from torch.utils.data import DataLoader

from mmpretrain_mldecoder.datasets.transforms import LoadScaledImage, LoadWholeImage
from mmpretrain_mldecoder.errors import UnreadableImageError

CONFIGS = Path(__file__).parents[3] / 'configs'


def by_the_host(path: str, **options) -> dict:
    return LoadImageFromFile(**options)(dict(img_path=path))


@pytest.mark.parametrize(
    'options',
    [
        {},
        dict(color_type='grayscale'),
        dict(color_type='unchanged'),
        dict(to_float32=True),
        dict(imdecode_backend='pillow'),
        dict(color_type='color_ignore_orientation'),
    ],
)
def test_good_images_are_those_of_the_host(tmp_path, options):
    contents = [encoded(photo(i), f) for i, f in enumerate(('JPEG', 'PNG', 'BMP'))]
    contents.append(encoded(photo(9), exif=orientation(6)))
    for i, content in enumerate(contents):
        path = tmp_path / f'{i}'
        path.write_bytes(content)
        ours = TRANSFORMS.build(dict(type='LoadWholeImage', **options))(dict(img_path=str(path)))
        theirs = by_the_host(str(path), **options)
        assert ours.keys() == theirs.keys()
        assert ours['img'].dtype == theirs['img'].dtype
        np.testing.assert_array_equal(ours['img'], theirs['img'])
        assert (ours['img_shape'], ours['ori_shape']) == (theirs['img_shape'], theirs['ori_shape'])


@pytest.mark.parametrize('loader', [LoadWholeImage(max_pixels=4000), LoadScaledImage(8, 4000)])
def test_the_rules_of_decode_image_hold(tmp_path, loader):
    path = tmp_path / 'a.jpg'
    jpeg = encoded(photo(0))  # 4800 pixels
    for content, message in ((jpeg, 'more than max_pixels=4,000'), (jpeg[:900], 'it ends after')):
        path.write_bytes(content)
        with pytest.raises(UnreadableImageError, match=rf'cannot read image .*a\.jpg: .*{message}'):
            loader(dict(img_path=str(path)))


@pytest.mark.parametrize('value', [0, -1, 1e6, None])
def test_numbers_out_of_range(value):
    with pytest.raises(ValueError, match=f'max_pixels is an int of at least 1, not {value}'):
        LoadWholeImage(max_pixels=value)
    with pytest.raises(ValueError, match=f'at least 1, not {value}'):
        LoadScaledImage(value)


def load_first(batch: list[dict]) -> dict:
    return LoadWholeImage()(batch[0])


def test_the_error_comes_out_of_another_process_as_it_is(tmp_path):
    path = os.fspath(tmp_path / 'a.jpg')
    with pytest.raises(UnreadableImageError) as caught:
        next(iter(DataLoader([dict(img_path=path)], num_workers=1, collate_fn=load_first)))
    assert str(caught.value) == f'cannot read image {path}: No such file or directory'
    error = pickle.loads(pickle.dumps(UnreadableImageError('a.jpg', 'it is empty', 'truncated')))
    assert (error.path, error.reason, error.code) == ('a.jpg', 'it is empty', 'truncated')
    again = pickle.loads(pickle.dumps(UnreadableImageError(str(error))))
    assert str(again) == 'cannot read image a.jpg: it is empty' and again.path is None
    assert LoadWholeImage(ignore_empty=True)(dict(img_path=path)) is None


def smooth_image(height: int, width: int) -> Image.Image:
    """RGB waves, so long that an image at 1/8 still has them."""
    rows, columns = np.mgrid[:height, :width]
    waves = [np.sin(rows / 40), np.cos(columns / 50), np.sin((rows + columns) / 60)]
    return Image.fromarray((127 + 100 * np.stack(waves, -1)).astype(np.uint8))


def saved(path: Path, img: Image.Image, **options) -> str:
    img.save(path, **options)
    return str(path)


def scaled(path: str, min_side: int) -> np.ndarray:
    results = TRANSFORMS.build(dict(type='LoadScaledImage', min_side=min_side))(dict(img_path=path))
    assert results['img_shape'] == results['ori_shape'] == results['img'].shape[:2]
    return results['img']


def assert_is_mean(img: np.ndarray, path: str) -> None:
    """A mean over boxes is what the scaled transform approximates.

    At the border it has less to average over, and 3 grey levels are the rounding of the JPEG.
    """
    size = img.shape[1::-1]
    box = cv2.resize(by_the_host(path)['img'], size, interpolation=cv2.INTER_AREA)
    assert np.abs(img.astype(int) - box)[1:-1, 1:-1].max() <= 6


@pytest.mark.parametrize(
    ('size', 'min_side', 'denominator'),
    [
        *(((200, 304), *case) for case in ((25, 8), (26, 4), (50, 4), (51, 2), (100, 2), (101, 1))),
        *(((304, 200), *case) for case in ((25, 8), (26, 4), (999, 1))),
        *(((203, 310), *case) for case in ((101, 2), (102, 1))),  # rounded up
    ],
)
def test_takes_the_smallest_scale_that_keeps_both_sides(tmp_path, size, min_side, denominator):
    path = saved(tmp_path / 'a.jpg', smooth_image(*size), quality=95)
    img = scaled(path, min_side)
    assert img.shape == (*(-(-side // denominator) for side in size), 3)
    assert_is_mean(img, path)
    if denominator == 1:
        np.testing.assert_array_equal(img, by_the_host(path)['img'])


@pytest.mark.parametrize(
    ('mode', 'options'),
    [
        ('RGB', dict(progressive=True)),
        ('RGB', dict(subsampling=2)),
        ('L', {}),
        ('CMYK', {}),
        *(('RGB', dict(exif=orientation(value))) for value in range(1, 9)),
    ],
)
def test_kinds_and_orientations_of_jpeg(tmp_path, mode, options):
    image = smooth_image(200, 304).convert(mode)
    path = saved(tmp_path / 'a.jpg', image, quality=95, **options)
    img = scaled(path, 50)
    on_its_side = options.get('exif', {}).get(0x0112, 1) > 4
    assert img.shape == ((76, 50, 3) if on_its_side else (50, 76, 3))
    assert_is_mean(img, path)


def test_other_formats_are_loaded_by_the_host(tmp_path):
    deep = Image.fromarray(np.arange(40000, dtype=np.uint16).reshape(200, 200))
    for img in (*(smooth_image(200, 200).convert(mode) for mode in ('RGB', 'RGBA', 'L')), deep):
        path = saved(tmp_path / 'a.png', img)
        np.testing.assert_array_equal(scaled(path, 10), by_the_host(path)['img'])


def test_is_a_loader_to_the_host():
    assert isinstance(LoadScaledImage(8), LoadImageFromFile)
    assert repr(LoadScaledImage(8)) == (
        'LoadScaledImage(min_side=8, max_pixels=178956970, backend_args=None)'
    )


def test_no_config_evaluates_with_the_fast_option():
    """Neither the scaled decoding nor the resize without antialias."""
    seen = 0
    for path in sorted(CONFIGS.rglob('*.py')):
        cfg = Config.fromfile(path)
        for name in ('val_dataloader', 'test_dataloader'):
            if name in cfg:
                seen += 1
                for step in cfg[name].dataset.pipeline:
                    assert step['type'] != 'LoadScaledImage', path
                    assert step.get('antialias', True), path
    assert seen > 20
