import io
import os
import pickle

import cv2
import numpy as np
import pytest
from faulty_images import encoded, orientation, photo, png_claiming
from mmcv.transforms import LoadImageFromFile
from mmpretrain.registry import TRANSFORMS
from PIL import Image, ImageOps
from torch.utils.data import DataLoader, Dataset

from mmpretrain_mldecoder.datasets.decode_image import MAX_PIXELS
from mmpretrain_mldecoder.datasets.transforms import LoadScaledImage, LoadWholeImage
from mmpretrain_mldecoder.errors import UnreadableImageError

FORMATS = ('JPEG', 'PNG', 'WEBP', 'TIFF', 'BMP', 'GIF', 'PPM')
LACKING = {'JPEG': ('P', '1'), 'WEBP': ('P', '1'), 'PPM': ('P',)}
MODES = [(f, m) for f in FORMATS for m in ('RGB', 'L', 'P', '1') if m not in LACKING.get(f, ())]


@pytest.fixture(params=[LoadWholeImage, lambda: LoadScaledImage(1000)], ids=['whole', 'scaled'])
def load(request, tmp_path):
    """Write bytes to a file and load it."""

    def call(content: bytes) -> np.ndarray:
        path = tmp_path / 'image'
        path.write_bytes(content)
        return request.param()(dict(img_path=str(path)))['img']

    return call


def by_pillow(content: bytes) -> np.ndarray:
    """Upright BGR."""
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
    return np.asarray(image.convert('RGB'))[..., ::-1]


def deep(pixels: np.ndarray) -> np.ndarray:
    return pixels[..., 0].astype(np.uint16) * 257


@pytest.mark.parametrize('format, mode', MODES)
def test_modes_come_out_in_their_colours(load, format, mode):
    content = encoded(photo(0), format, mode)
    np.testing.assert_allclose(load(content), by_pillow(content), atol=1)


@pytest.mark.parametrize('format', ['JPEG', 'TIFF'])
def test_cmyk_is_as_pillow_has_it(load, format):
    content = encoded(photo(0), format, 'CMYK')
    np.testing.assert_allclose(load(content), by_pillow(content), atol=1)


@pytest.mark.parametrize('format', ['PNG', 'WEBP'])
def test_transparency_is_dropped(load, format):
    pixels = np.dstack([photo(0), np.full((60, 80), 7, np.uint8)])
    options = dict(lossless=True, exact=True) if format == 'WEBP' else {}
    np.testing.assert_array_equal(load(encoded(pixels, format, **options))[..., ::-1], photo(0))


def test_transparency_of_a_tiff_is_refused_unless_it_is_opaque(load):
    for alpha in (0, 7, 254):
        pixels = np.dstack([photo(0), np.full((60, 80), alpha, np.uint8)])
        with pytest.raises(UnreadableImageError, match='transparent parts of a TIFF black'):
            load(encoded(pixels, 'TIFF'))
    opaque = np.dstack([photo(0), np.full((60, 80), 255, np.uint8)])
    np.testing.assert_array_equal(load(encoded(opaque, 'TIFF'))[..., ::-1], photo(0))


@pytest.mark.parametrize('format', ['PNG', 'TIFF'])
def test_of_16_bits_the_upper_8_are_kept(load, format):
    read = load(encoded(deep(photo(0)), format))
    assert all(np.array_equal(read[..., c], photo(0)[..., 0]) for c in range(3))


@pytest.mark.parametrize('value', range(1, 9))
@pytest.mark.parametrize('format', ['JPEG', 'PNG', 'WEBP', 'TIFF'])
def test_exif_turns_upright(load, format, value):
    content = encoded(photo(0), format, exif=orientation(value))
    expected = by_pillow(content)
    read = load(content)
    assert read.shape == expected.shape == ((80, 60, 3) if value > 4 else (60, 80, 3))
    # decoders of lossy WebP differ by a few levels; a wrong turn by far more
    np.testing.assert_allclose(read, expected, atol=6 if format == 'WEBP' else 1)


@pytest.mark.parametrize('format', FORMATS)
def test_one_pixel_is_a_image(load, format):
    assert load(encoded(np.full((1, 1, 3), 200, np.uint8), format)).shape == (1, 1, 3)


@pytest.mark.parametrize('format', [*FORMATS, 'progressive'])
@pytest.mark.parametrize('part', [0.3, 0.6, 0.95])
def test_what_is_cut_off_is_refused(load, format, part):
    if format == 'progressive':
        content = encoded(photo(0), progressive=True)
    else:
        content = encoded(photo(0), format)
    with pytest.raises(UnreadableImageError, match=r'cannot read image .*image: .+'):
        load(content[: int(len(content) * part)])


@pytest.mark.parametrize(
    'content, code, message',
    [
        (b'', 'unreadable', 'the file is empty'),
        (b'<html>not found</html>', 'unreadable', 'no image in it'),
        (b'\xff\xd8\xff', 'truncated', 'it ends after 3 bytes'),
        (encoded(photo(0))[:900] + bytes(4096), 'truncated', 'it ends after 4,996 bytes'),
        (png_claiming(20_000, 20_000), 'too_large', r'20,000 x 20,000 pixels, more than max_pix'),
        (encoded(np.float32(photo(0)[..., 0]), 'TIFF'), 'unreadable', '32 bits a channel'),
        (encoded(deep(photo(0)) // 16, 'PNG'), 'blank', 'only the lower 12 of its 16 bits'),
    ],
)
def test_what_is_no_image_is_refused_with_path_and_reason(load, content, code, message):
    with pytest.raises(
        UnreadableImageError, match=rf'cannot read image .*image: {message}'
    ) as error:
        load(content)
    assert error.value.code == code and error.value.path.endswith('image')


def test_a_black_float_image_is_refused(load):
    """A PFM, of which OpenCV makes a black image without a word."""
    values = np.random.default_rng(0).random((60, 80), np.float32)
    with pytest.raises(UnreadableImageError, match='32 bits a channel'):
        load(b'Pf\n80 60\n-1.0\n' + values.tobytes())


def test_a_huge_file_of_another_format_is_refused_before_it_is_decoded(load):
    header = b'BM' + (54).to_bytes(4, 'little') + bytes(4) + (54).to_bytes(4, 'little')
    info = (40).to_bytes(4, 'little') + (20_000).to_bytes(4, 'little') * 2
    content = header + info + b'\1\0\x18\0' + bytes(24)
    with pytest.raises(UnreadableImageError, match=r'exceeds limit|max_pixels') as error:
        load(content)
    assert error.value.code == 'too_large'


def test_a_drawing_in_its_transparency_is_refused_and_a_plain_one_is_not(load):
    pixels = np.zeros((60, 80, 4), np.uint8)
    assert load(encoded(pixels, 'PNG')).max() == 0
    pixels[20:40, 20:40, 3] = 255
    with pytest.raises(UnreadableImageError, match='one flat colour but for its transparency'):
        load(encoded(pixels, 'PNG'))
    assert load(encoded(np.zeros((60, 80), np.uint16), 'PNG')).max() == 0  # black is a colour


def test_max_pixels_is_the_largest_that_is_read(tmp_path):
    path = tmp_path / 'a.jpg'
    path.write_bytes(encoded(photo(0)))
    assert LoadWholeImage(max_pixels=4800)(dict(img_path=str(path)))['img'].shape == (60, 80, 3)
    with pytest.raises(UnreadableImageError, match='80 x 60 pixels, more than max_pixels=4,799'):
        LoadWholeImage(max_pixels=4799)(dict(img_path=str(path)))
    assert MAX_PIXELS == 2 * Image.MAX_IMAGE_PIXELS  # Pillow warns at half of what it refuses


@pytest.mark.parametrize('max_pixels', [0, -1, 1e6, None])
def test_max_pixels_out_of_range(max_pixels):
    with pytest.raises(ValueError, match=f'max_pixels is an int of at least 1, not {max_pixels}'):
        LoadWholeImage(max_pixels=max_pixels)


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
        theirs = LoadImageFromFile(**options)(dict(img_path=str(path)))
        assert ours.keys() == theirs.keys()
        assert ours['img'].dtype == theirs['img'].dtype
        np.testing.assert_array_equal(ours['img'], theirs['img'])
        assert (ours['img_shape'], ours['ori_shape']) == (theirs['img_shape'], theirs['ori_shape'])


def test_real_photos_are_those_of_the_host(shared_data):
    paths = sorted((shared_data / 'coco_tiny').rglob('*.jpg'))[::8]
    assert paths
    for path in paths:
        results = [
            load(dict(img_path=str(path))) for load in (LoadWholeImage(), LoadImageFromFile())
        ]
        np.testing.assert_array_equal(results[0]['img'], results[1]['img'])


def test_absent_files_and_folders_are_unreadable_too(tmp_path):
    with pytest.raises(UnreadableImageError, match=r'a\.jpg: No such file') as error:
        LoadWholeImage()(dict(img_path=str(tmp_path / 'a.jpg')))
    assert error.value.code == 'missing'
    with pytest.raises(UnreadableImageError, match='Is a directory'):
        LoadWholeImage()(dict(img_path=str(tmp_path)))
    assert LoadWholeImage(ignore_empty=True)(dict(img_path=str(tmp_path / 'a.jpg'))) is None


def test_a_segment_of_rubbish_in_a_jpeg_is_passed_over(load):
    content = encoded(photo(0))
    behind_the_first = 4 + int.from_bytes(content[4:6], 'big')
    filled = content[:behind_the_first] + b'rubbish' + content[behind_the_first:]
    np.testing.assert_array_equal(load(filled), load(content))


class OneBad(Dataset):
    def __init__(self, path: str):
        self.path = path

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> dict:
        return LoadWholeImage()(dict(img_path=self.path))


def test_the_error_comes_whole_out_of_a_worker(tmp_path):
    path = os.fspath(tmp_path / 'a.jpg')
    with pytest.raises(UnreadableImageError) as error:
        next(iter(DataLoader(OneBad(path), num_workers=1)))
    assert str(error.value) == f'cannot read image {path}: No such file or directory'


def test_the_error_can_be_sent_to_another_process():
    error = pickle.loads(pickle.dumps(UnreadableImageError('a.jpg', 'it is empty', 'truncated')))
    assert (error.path, error.reason, error.code) == ('a.jpg', 'it is empty', 'truncated')
    again = pickle.loads(pickle.dumps(UnreadableImageError(str(error))))
    assert str(again) == 'cannot read image a.jpg: it is empty' and again.path is None


def test_cv2_alone_would_decode_what_was_filled_up():
    """What the loader is for: OpenCV makes an image of a file whose end is zeros."""
    content = encoded(photo(0), quality=95)
    filled = np.frombuffer(content[: len(content) // 2] + bytes(4096), np.uint8)
    assert cv2.imdecode(filled, cv2.IMREAD_COLOR) is not None
