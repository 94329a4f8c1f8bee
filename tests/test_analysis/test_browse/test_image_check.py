import numpy as np
import pytest
from faulty_images import encoded, faulty_files, orientation, photo
from mmcv.transforms import LoadImageFromFile
from PIL import Image

from mmpretrain_mldecoder.analysis.browse.image_check import ImageChecker
from mmpretrain_mldecoder.datasets.transforms import LoadWholeImage
from mmpretrain_mldecoder.errors import UnreadableImageError

FILES = faulty_files()
# what a header tells of those whose fault only decoding finds
BY_HEADER = {
    'damaged.jpg': set(),
    'grey_in_colour.jpg': set(),
    'dim.png': {'deep', 'greyscale'},
    'only_transparency.png': {'alpha'},
}
UNREAD = {'truncated', 'unreadable', 'missing', 'too_large', 'blank'}


def codes(check) -> set[str]:
    return {fault.code for fault in check.faults}


@pytest.fixture
def path(tmp_path):
    """Write bytes to a file and return its path."""

    def write(content: bytes, name: str = 'image.jpg') -> str:
        (tmp_path / name).write_bytes(content)
        return str(tmp_path / name)

    return write


@pytest.mark.parametrize('name', FILES)
def test_each_fault_is_found_and_the_loader_agrees(name, path, tmp_path, capfd):
    """Our loader raises for what is unreadable and nothing else; else its pixels are the host's."""
    content, expected = FILES[name]
    file = str(tmp_path / name) if content is None else path(content, name)
    for quick, found in ((False, expected), (True, BY_HEADER.get(name, expected))):
        check = ImageChecker(quick=quick).check((file, (60, 80)))
        assert codes(check) == found
        assert (check.digest is None) == (content is None)
        assert (check.thumbnail is None) == (quick or bool(expected & UNREAD))
    assert capfd.readouterr().err == ''  # what libjpeg says is caught
    if expected & UNREAD:
        with pytest.raises(UnreadableImageError) as error:
            LoadWholeImage()(dict(img_path=file))
        assert {error.value.code} == expected
    else:
        pixels = LoadWholeImage()(dict(img_path=file))['img']
        np.testing.assert_array_equal(pixels, LoadImageFromFile()(dict(img_path=file))['img'])


@pytest.mark.parametrize('height, width', [(60, 80), (80, 60)])
@pytest.mark.parametrize('quick', [False, True])
def test_a_turned_image_may_be_annotated_either_way(height, width, quick, path):
    file = path(encoded(photo(0, 60, 80), exif=orientation(8)))
    check = ImageChecker(quick=quick).check((file, (height, width)))
    assert codes(check) == {'rotated'}


def test_another_decoder_is_followed(path):
    """Pillow reads a GIF; whether OpenCV does depends on its version."""
    checker = ImageChecker(LoadImageFromFile(imdecode_backend='pillow'))
    assert codes(checker.check((path(encoded(photo(0), 'GIF'), 'a.gif'), None))) == {'palette'}


def test_the_loader_turns_an_image_upright_or_is_said_to_ignore_it(path):
    file = path(encoded(photo(0, 60, 80), exif=orientation(6)))
    for color_type, shape, code in (
        ('color', (80, 60), 'rotated'),
        ('color_ignore_orientation', (60, 80), 'rotated_ignored'),
    ):
        for backend in ('cv2', 'pillow'):
            loader = LoadImageFromFile(color_type=color_type, imdecode_backend=backend)
            assert loader(dict(img_path=file))['img_shape'] == shape
            assert codes(ImageChecker(loader).check((file, None))) == {code}


def test_a_thumbnail_is_the_grey_image_made_small(path):
    pixels = photo(0, 64, 72)
    check = ImageChecker().check((path(encoded(pixels, 'PNG'), 'a.png'), None))
    # each cell is the mean over 4 x 4 pixels, of Rec. 601 luma as in Pillow; both round
    grey = np.asarray(Image.fromarray(pixels).convert('L'), np.float64)
    cells = grey.reshape(16, 4, 18, 4).mean(axis=(1, 3))
    assert check.thumbnail.shape == (16, 18)
    assert np.abs(check.thumbnail - cells).max() <= 1.5
