import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmcv.transforms import LoadImageFromFile
from mmengine import Config
from mmpretrain.registry import TRANSFORMS
from PIL import Image

from mmpretrain_mldecoder.datasets.image_header import jpeg_size
from mmpretrain_mldecoder.datasets.transforms import LoadScaledImage

CONFIGS = Path(__file__).parents[3] / 'configs'


def smooth_image(height: int, width: int) -> Image.Image:
    """RGB waves, so long that an image at 1/8 still has them."""
    rows, columns = np.mgrid[:height, :width]
    waves = [np.sin(rows / 40), np.cos(columns / 50), np.sin((rows + columns) / 60)]
    return Image.fromarray((127 + 100 * np.stack(waves, -1)).astype(np.uint8))


def saved(path: Path, img: Image.Image, **options) -> str:
    img.save(path, **options)
    return str(path)


def loaded(path: str, min_side: int) -> np.ndarray:
    results = TRANSFORMS.build(dict(type='LoadScaledImage', min_side=min_side))(dict(img_path=path))
    assert results['img_shape'] == results['ori_shape'] == results['img'].shape[:2]
    return results['img']


def by_the_host(path: str) -> np.ndarray:
    return LoadImageFromFile()(dict(img_path=path))['img']


@pytest.mark.parametrize('upright', [False, True])
@pytest.mark.parametrize(
    'min_side, denominator', [(25, 8), (26, 4), (50, 4), (51, 2), (100, 2), (101, 1), (999, 1)]
)
def test_takes_the_smallest_scale_that_keeps_both_sides(tmp_path, min_side, denominator, upright):
    height, width = (304, 200) if upright else (200, 304)
    path = saved(tmp_path / 'a.jpg', smooth_image(height, width), quality=95)
    img = loaded(path, min_side)
    assert img.shape == (height // denominator, width // denominator, 3)
    # A mean over boxes is what the scaled transform approximates; at the border it has less to
    # average over, and 3 grey levels are the rounding of the JPEG.
    box = cv2.resize(by_the_host(path), img.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(img.astype(int) - box)[1:-1, 1:-1].max() <= 6
    if denominator == 1:
        np.testing.assert_array_equal(img, by_the_host(path))


@pytest.mark.parametrize('min_side, shape', [(101, (102, 155, 3)), (102, (203, 310, 3))])
def test_sides_that_cannot_be_halved_are_rounded_up(tmp_path, min_side, shape):
    path = saved(tmp_path / 'a.jpg', smooth_image(203, 310))
    assert loaded(path, min_side).shape == shape


@pytest.mark.parametrize('options', [dict(progressive=True), dict(subsampling=2), dict(quality=30)])
def test_kinds_of_jpeg(tmp_path, options):
    path = saved(tmp_path / 'a.jpg', smooth_image(200, 300), **options)
    assert loaded(path, 50).shape == (50, 75, 3)


@pytest.mark.parametrize('mode', ['L', 'CMYK'])
def test_grey_and_cmyk_jpegs(tmp_path, mode):
    path = saved(tmp_path / 'a.jpg', smooth_image(200, 300).convert(mode), quality=95)
    box = cv2.resize(by_the_host(path), (75, 50), interpolation=cv2.INTER_AREA)
    assert np.abs(loaded(path, 50).astype(int) - box)[1:-1, 1:-1].max() <= 6


@pytest.mark.parametrize('orientation', range(1, 9))
def test_follows_the_exif_orientation(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path / 'a.jpg', smooth_image(200, 304), exif=exif, quality=95)
    img, whole = loaded(path, 50), by_the_host(path)
    assert whole.shape[:2] == ((304, 200) if orientation > 4 else (200, 304))
    box = cv2.resize(
        whole, (whole.shape[1] // 4, whole.shape[0] // 4), interpolation=cv2.INTER_AREA
    )
    assert np.abs(img.astype(int) - box)[1:-1, 1:-1].max() <= 6


@pytest.mark.parametrize('mode', ['RGB', 'RGBA', 'L', 'I;16'])
def test_what_is_no_jpeg_is_loaded_by_the_host(tmp_path, mode):
    if mode == 'I;16':
        img = Image.fromarray(np.arange(40000, dtype=np.uint16).reshape(200, 200))
    else:
        img = smooth_image(200, 200).convert(mode)
    path = saved(tmp_path / 'a.png', img)
    np.testing.assert_array_equal(loaded(path, 10), by_the_host(path))


def test_size_of_photos(shared_data):
    for path in sorted((shared_data / 'coco_tiny').rglob('*.jpg'))[::8]:
        assert jpeg_size(path.read_bytes()) == Image.open(path).size[::-1]


def test_size_is_found_behind_padding_and_not_in_what_is_cut_short():
    buffer = io.BytesIO()
    smooth_image(70, 90).save(buffer, 'JPEG')
    content = buffer.getvalue()
    assert jpeg_size(content) == (70, 90)
    assert jpeg_size(content[:2] + b'\xff\xff' + content[2:]) == (70, 90)
    assert jpeg_size(content[:30]) is None
    assert jpeg_size(content[:2] + b'\0' * 90) is None
    assert jpeg_size(b'') is None


def test_no_image(tmp_path):
    path = tmp_path / 'a.jpg'
    path.write_bytes(b'\xff\xd8 no more than a start')
    with pytest.raises(ValueError, match=r'cannot read image .*a\.jpg: it ends after 23 bytes'):
        LoadScaledImage(8)(dict(img_path=str(path)))


@pytest.mark.parametrize('min_side', [0, -1, 2.0, None])
def test_min_side_out_of_range(min_side):
    with pytest.raises(ValueError, match=f'at least 1, not {min_side}'):
        LoadScaledImage(min_side)


def test_is_a_loader_to_the_host():
    assert isinstance(LoadScaledImage(8), LoadImageFromFile)
    assert repr(LoadScaledImage(8)) == (
        'LoadScaledImage(min_side=8, max_pixels=178956970, backend_args=None)'
    )


def test_no_config_evaluates_with_the_fast_option():
    """Neither the scaled decoding nor the resize without antialias."""
    paths = sorted(CONFIGS.rglob('*.py'))
    seen = 0
    for path in paths:
        cfg = Config.fromfile(path)
        for name in ('val_dataloader', 'test_dataloader'):
            if name in cfg:
                seen += 1
                for step in cfg[name].dataset.pipeline:
                    assert step['type'] != 'LoadScaledImage', path
                    assert step.get('antialias', True), path
    assert seen > 20


def test_dotted_options_switch_the_training_to_fast_and_leave_the_evaluation():
    cfg = Config.fromfile(CONFIGS / '_base_/datasets/coco_224.py')
    train = 'train_dataloader.dataset.pipeline'
    cfg.merge_from_dict(
        {
            f'{train}.0.type': 'LoadScaledImage',
            f'{train}.0.min_side': 200,
            f'{train}.1.antialias': False,
        }
    )
    load, resize = (TRANSFORMS.build(step) for step in cfg.train_dataloader.dataset.pipeline[:2])
    assert isinstance(load, LoadScaledImage) and load.min_side == 200
    assert resize.scale == 224 and not resize.antialias
    assert cfg.val_dataloader.dataset.pipeline[:2] == [
        dict(type='LoadWholeImage'),
        dict(type='SquareResize', scale=224),
    ]
