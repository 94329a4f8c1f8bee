"""One image in many files: all readers give the same pixels, and the right ones, of each."""

import base64
import io
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from faulty_images import encoded
from image_zoo import DEEP, PIXELS, in_jpeg, in_png, kinds, source, turned
from PIL import Image

from mmpretrain_mldecoder.analysis.browse.image_check import ImageChecker
from mmpretrain_mldecoder.analysis.report.images import read_thumbnail
from mmpretrain_mldecoder.apis.inference.image_inputs import ImagePipeline
from mmpretrain_mldecoder.datasets.decode_image import image_to_bgr
from mmpretrain_mldecoder.datasets.image_header import read_image_header
from mmpretrain_mldecoder.datasets.resized_copy import make_resized_copy
from mmpretrain_mldecoder.datasets.transforms import LoadScaledImage, LoadWholeImage
from mmpretrain_mldecoder.errors import UnreadableImageError

EXAMPLE = Path(__file__).parents[2] / 'examples' / 'onnx_predict.py'
KINDS = dict(kinds())
# Pillow 13 lets the brightest of its levels overflow: what reads by Pillow alone refuses it.
OVERFLOWS = '.jp2 of 16 bits'
UPRIGHT = {
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.transpose(1, 0, 2),
    6: lambda p: p.transpose(1, 0, 2)[:, ::-1],
    7: lambda p: p.transpose(1, 0, 2)[::-1, ::-1],
    8: lambda p: p.transpose(1, 0, 2)[::-1],
}


def load(loader: LoadWholeImage, path: str) -> np.ndarray:
    return loader(dict(img_path=path))['img'][..., ::-1]


@pytest.fixture(scope='module')
def readers():
    """Each takes a path and gives RGB uint8."""
    functions = {}
    exec(EXAMPLE.read_text().partition('parser = ')[0], functions)
    pipeline = ImagePipeline([dict(type='LoadImageFromFile'), dict(type='PackInputs')])
    loaders = {
        'file': LoadWholeImage(),
        'pillow': LoadWholeImage(imdecode_backend='pillow'),
        'scaled': LoadScaledImage(min_side=60),
    }
    return {name: partial(load, loader) for name, loader in loaders.items()} | {
        'memory': lambda p: pipeline(Image.open(p))['inputs'].numpy().transpose(1, 2, 0)[..., ::-1],
        'drawing': lambda p: pipeline.for_drawing(p)[..., ::-1],
        'example': lambda p: np.asarray(functions['read'](p)),
    }


def written(tmp_path: Path, content: bytes) -> str:
    (tmp_path / 'image').write_bytes(content)
    return str(tmp_path / 'image')


@pytest.mark.parametrize('name', KINDS)
def test_readers_agree_on_formats_modes_and_depths(readers, tmp_path, name):
    path = written(tmp_path, KINDS[name])
    expected = readers['file'](path).astype(int)
    for reader, read in readers.items():
        if name == OVERFLOWS and reader == 'example':
            with pytest.raises(ValueError, match='save it as PNG'):
                read(path)
            continue
        # OpenCV and Pillow round CMYK in two ways
        assert np.abs(read(path) - expected).max() <= ('CMYK' in name or 'YCCK' in name), reader


def test_a_deep_jpeg_2000_that_pillow_has_decoded_is_refused(readers, tmp_path):
    path = written(tmp_path, KINDS[OVERFLOWS])
    image = Image.open(path)
    image.load()
    with pytest.raises(UnreadableImageError, match='16 bits a channel wrongly: give the path'):
        image_to_bgr(image)
    assert readers['file'](path).shape == (60, 80, 3)


def test_what_loses_nothing_comes_out_as_it_was(readers, tmp_path):
    exact = {'RGB': PIXELS, 'RGBA': PIXELS, 'L': np.asarray(source('L').convert('RGB'))}
    seen = 0
    for name, content in KINDS.items():
        format, _, mode = name.partition(' ')
        if format in ('PNG', 'WEBP', 'TIFF', 'BMP', 'JPEG2000', 'TGA', 'QOI') and mode in exact:
            seen += 1
            np.testing.assert_array_equal(readers['file'](written(tmp_path, content)), exact[mode])
        elif name in ('.png of 16 bits', '.tiff of 16 bits and alpha', '.jp2 of 16 bits'):
            seen += 1  # OpenCV rounds those of a JPEG 2000, which has them in order
            read = readers['file'](written(tmp_path, content)).astype(int)
            assert np.abs(read - (DEEP[..., ::-1] >> 8)).max() <= (name[1:4] == 'jp2')
    assert seen > 15


@pytest.mark.parametrize('value', range(10))
def test_readers_agree_on_the_orientation(readers, tmp_path, value):
    checker, quick = ImageChecker(LoadWholeImage()), ImageChecker(LoadWholeImage(), quick=True)
    stored = LoadWholeImage(color_type='color_ignore_orientation')
    for name, content in turned(value):
        path = written(tmp_path, content)
        wanted = value if value in UPRIGHT and name != 'JPEG EXIF upright, XMP turned' else 1
        assert read_image_header(content).orientation == wanted, name
        expected = readers['file'](path)
        if not name.startswith(('TIFF', 'AVIF')):  # whose decoders turn, or do not keep it apart
            plain = stored(dict(img_path=path))['img'][..., ::-1]
            np.testing.assert_array_equal(expected, UPRIGHT[wanted](plain), name)
        elif 'EXIF' in name:
            assert np.abs(expected.astype(int) - UPRIGHT[wanted](PIXELS)).mean() < 5, name
        for reader, read in readers.items():
            np.testing.assert_array_equal(read(path), expected, f'{name}, {reader}')
        for check in (checker, quick):
            found = {fault.code for fault in check.check((path, None)).faults}
            assert ('rotated' in found) == (wanted > 1) and 'rotated_ignored' not in found, name
        thumbnail = Image.open(io.BytesIO(base64.b64decode(read_thumbnail(path).partition(',')[2])))
        assert thumbnail.size == expected.shape[1::-1]


def test_corrupt_metadata_turns_nothing(readers, tmp_path):
    broken = b'II*\0' + b'\xff' * 40
    for content in (
        in_jpeg(b'Exif\0\0' + broken),
        in_png(b'eXIf', broken),
        in_png(b'zTXt', b'Raw profile type exif\0\0not packed'),
        in_png(b'tEXt', b'Raw profile type exif\0\nexif\n 8\nno hex\n'),
    ):
        path = written(tmp_path, content)
        for reader, read in readers.items():
            assert np.abs(read(path).astype(int) - PIXELS).mean() < 3, reader


def test_browse_says_what_the_loader_of_the_host_turns(tmp_path):
    for name, content in turned(6):
        found = {f.code for f in ImageChecker().check((written(tmp_path, content), None)).faults}
        host = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
        if host is None:  # AVIF, which not every OpenCV decodes
            continue
        is_turned = host.shape[0] > host.shape[1]
        if name not in ('JPEG EXIF upright, XMP turned', 'TIFF RGBA'):  # which OpenCV blackens
            assert found & {'rotated', 'rotated_ignored'} == {
                'rotated' if is_turned else 'rotated_ignored'
            }, name


def test_a_resized_copy_reads_alike(readers, tmp_path):
    endings = {'JPEG RGB': '.jfif', 'GIF P': '.gif', 'TIFF RGB': '.tiff', 'TGA RGB': '.tga'}
    (tmp_path / 'source').mkdir()
    for name, ending in endings.items():
        (tmp_path / f'source/1{ending}').write_bytes(KINDS[name])
    copy = make_resized_copy(tmp_path / 'source', tmp_path / 'target', 60, workers=0)
    assert (copy.written, copy.others, copy.failed) == (len(endings), 0, [])
    for ending in endings.values():
        small = readers['file'](str(tmp_path / f'target/1{ending}')).astype(int)
        large = readers['file'](str(tmp_path / f'source/1{ending}'))
        assert small.shape == (60, 60, 3)
        assert np.abs(small - cv2.resize(large, (60, 60), interpolation=cv2.INTER_AREA)).mean() < 4


def test_an_ordinary_jpeg_does_not_ask_pillow(monkeypatch):
    """Its header is read in microseconds, which is the speed of the training."""
    monkeypatch.setattr(Image, 'open', lambda *args, **kwargs: pytest.fail('asked'))
    for content in (encoded(PIXELS), encoded(PIXELS, 'PNG'), in_png(b'tEXt', b'Software\0some')):
        assert read_image_header(content, in_full=False).orientation == 1
