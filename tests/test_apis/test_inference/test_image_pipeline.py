import cv2
import numpy as np
import pytest
from PIL import Image

from mmpretrain_mldecoder.apis.inference.image_inputs import ImagePipeline
from mmpretrain_mldecoder.errors import UnreadableImageError

LOAD, PACK = dict(type='LoadImageFromFile'), dict(type='PackInputs')
PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 4), dtype=np.uint8)


def packed(image, *transforms, load=LOAD):
    return ImagePipeline([load, *transforms, PACK])(image)['inputs'].numpy()


def save(tmp_path, image: np.ndarray) -> str:
    path = str(tmp_path / 'lossless.png')
    cv2.imwrite(path, image)
    return path


@pytest.mark.parametrize(
    'array',
    [PIXELS[..., :3], PIXELS, PIXELS[..., 0], PIXELS[::-1, ::-1, :3]],
    ids=['BGR', 'BGRA', 'grey', 'negative strides'],
)
@pytest.mark.parametrize('color_type', ['color', 'grayscale'])
def test_array_is_as_its_file(tmp_path, array, color_type):
    load = LOAD | dict(color_type=color_type, to_float32=True)
    expected = packed(save(tmp_path, array), load=load)
    got = packed(array, load=load)
    assert got.dtype == expected.dtype == np.float32
    # A decoder's own way to grey may round otherwise than OpenCV's conversion: by one level.
    np.testing.assert_allclose(got, expected, atol=color_type == 'grayscale')


@pytest.mark.parametrize('mode', ['RGB', 'RGBA', 'L', 'LA', 'P', '1', 'I;16'])
def test_pil_image_is_as_its_file(tmp_path, mode):
    path = tmp_path / 'lossless.png'
    if mode == 'I;16':
        image = Image.fromarray(PIXELS[..., 0].astype(np.uint16) * 256 + PIXELS[..., 1])
    else:
        image = Image.fromarray(PIXELS).convert(mode)
    image.save(path)
    np.testing.assert_array_equal(packed(Image.open(path)), packed(str(path)))


@pytest.mark.parametrize('orientation', range(1, 9))
def test_exif_orientation_is_followed(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / 'turned.png'
    Image.fromarray(PIXELS[..., :3]).save(path, exif=exif)
    got = packed(Image.open(path))
    assert got.shape == ((3, 20, 30) if orientation < 5 else (3, 30, 20))
    np.testing.assert_array_equal(got, packed(str(path)))


@pytest.mark.parametrize('content', [b'', b'not an image', b'\xff\xd8\xff\xe0 torn'])
@pytest.mark.parametrize('ignore_empty', [False, True])
def test_unreadable_file(tmp_path, content, ignore_empty):
    path = tmp_path / 'broken.jpg'
    path.write_bytes(content)
    with pytest.raises(
        UnreadableImageError, match=r'cannot read image .*broken\.jpg: .+'
    ) as caught:
        packed(str(path), load=LOAD | dict(ignore_empty=ignore_empty))
    assert caught.value.path == str(path)
    assert '\n' not in caught.value.reason
    with pytest.raises(UnreadableImageError, match='No such file'):
        packed(str(tmp_path / 'gone.jpg'))


@pytest.mark.parametrize(
    ('transforms', 'only_resizes'),
    [
        ([dict(type='SquareResize', scale=8)], True),
        ([dict(type='Resize', scale=(8, 8))], True),
        ([dict(type='ResizeEdge', scale=8), dict(type='CenterCrop', crop_size=8)], False),
        ([], True),
    ],
)
def test_whether_the_whole_image_is_seen(transforms, only_resizes):
    pipeline = ImagePipeline([LOAD, *transforms, PACK])
    assert pipeline.only_resizes is only_resizes
    assert pipeline(PIXELS)['data_samples'].ori_shape == (20, 30)


@pytest.mark.parametrize('color_type', ['color', 'grayscale'])
def test_image_for_drawing(tmp_path, color_type):
    pipeline = ImagePipeline([LOAD | dict(color_type=color_type, to_float32=True), PACK])
    image = pipeline.for_drawing(save(tmp_path, PIXELS[..., :3]))
    assert (image.dtype, image.shape) == (np.uint8, (20, 30, 3))
    if color_type == 'color':
        np.testing.assert_array_equal(image, PIXELS[..., :3])
