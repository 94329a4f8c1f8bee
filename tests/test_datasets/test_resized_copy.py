import errno
import json
import os
import shutil

import cv2
import numpy as np
import pytest
from coco_dataset import build
from mmcv.transforms import LoadImageFromFile
from PIL import Image

from mmpretrain_mldecoder.datasets import resized_copy
from mmpretrain_mldecoder.datasets.resized_copy import make_resized_copy
from mmpretrain_mldecoder.datasets.transforms import SquareResize


def smooth(height: int, width: int) -> np.ndarray:
    """An image (H, W, 3) that JPEG hardly changes, and no two corners of which are alike."""
    y, x = np.mgrid[:height, :width] / [[[height]], [[width]]]
    return np.uint8(255 * np.stack([x, y, (x + y) / 2], axis=-1))


def expected(path, size: int) -> np.ndarray:
    """The pixels that training would see of the original."""
    return SquareResize(size)(LoadImageFromFile()(dict(img_path=str(path))))['img']


@pytest.fixture
def source(tmp_path):
    """A dataset root of two folders with an image each, and a file of annotations."""
    root = tmp_path / 'source'
    for name in ('a/1.jpg', 'b/deep/2.JPEG'):
        (root / name).parent.mkdir(parents=True)
        Image.fromarray(smooth(60, 80)).save(root / name, quality=95)
    (root / 'labels.json').write_text('{}')
    return root


def make(source, target, size=32, quality=95, workers=0):
    return make_resized_copy(source, target, size, quality, workers)


def files(root) -> set[str]:
    return {str(p.relative_to(root)) for p in root.rglob('*') if not p.is_dir()}


@pytest.mark.parametrize('workers', [0, 2])
def test_names_stay_and_images_are_squashed(source, tmp_path, workers):
    target = tmp_path / 'made/target'
    copy = make(source, target, workers=workers)
    assert files(target) == files(source) | {'resized_copy.json'}
    assert (copy.written, copy.present, copy.others, copy.failed) == (2, 0, 1, [])
    sizes = [sum((root / n).stat().st_size for n in ('a/1.jpg', 'b/deep/2.JPEG'))
             for root in (source, target)]  # fmt: skip
    assert [copy.bytes_before, copy.bytes_after] == sizes
    for name in ('a/1.jpg', 'b/deep/2.JPEG'):
        with Image.open(target / name) as image:
            assert (image.format, image.size) == ('JPEG', (32, 32))
        difference = cv2.absdiff(cv2.imread(str(target / name)), expected(source / name, 32))
        # quality 95 of a smooth image: a few grey levels
        assert difference.max() <= 5


@pytest.mark.parametrize('suffix', ['.png', '.bmp', '.ppm', '.tif', '.webp'])
def test_formats_without_loss_have_the_pixels_of_the_resize(source, tmp_path, suffix):
    Image.fromarray(smooth(50, 70)).save(source / f'x{suffix}', lossless=True)
    make(source, tmp_path / 'out', 48)
    copied = cv2.imread(str(tmp_path / f'out/x{suffix}'))
    assert np.array_equal(copied, expected(source / f'x{suffix}', 48))


def test_rotated_grey_cmyk_and_misnamed_images(source, tmp_path):
    upright = Image.fromarray(smooth(60, 80))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees to the right
    upright.transpose(Image.Transpose.ROTATE_90).save(source / 'exif.jpg', exif=exif, quality=95)
    upright.convert('L').save(source / 'grey.jpg', quality=95)
    upright.convert('CMYK').save(source / 'cmyk.jpg', quality=95)
    upright.save(source / 'png.jpg', format='PNG')
    make(source, tmp_path / 'out')
    for name in ('exif', 'grey', 'cmyk', 'png'):
        with Image.open(tmp_path / f'out/{name}.jpg') as copied:
            assert (copied.format, copied.mode, dict(copied.getexif())) == ('JPEG', 'RGB', {})
        again = cv2.imread(str(tmp_path / f'out/{name}.jpg'))
        assert cv2.absdiff(again, expected(source / f'{name}.jpg', 32)).max() <= 5
    # upright: red grows to the right, as in the image before it was turned
    with Image.open(tmp_path / 'out/exif.jpg') as copied:
        red = np.asarray(copied)[..., 0].astype(int)
    assert (red[:, -4:] - red[:, :4]).min() > 150


def test_colour_is_not_halved_in_resolution(source, tmp_path):
    """Red and blue columns of one pixel: 4:2:0 would make them all violet."""
    image = np.zeros((32, 32, 3), np.uint8)
    image[:, ::2, 0], image[:, 1::2, 2] = 255, 255
    Image.fromarray(image).save(source / 'stripes.jpg', quality=100, subsampling=0)
    make(source, tmp_path / 'out')
    red = cv2.imread(str(tmp_path / 'out/stripes.jpg'))[..., 2].astype(int)
    assert (red[:, ::2] - red[:, 1::2]).min() > 200


def test_the_dataset_class_reads_the_copy(fake_coco, tmp_path):
    make(fake_coco, tmp_path / 'out')
    pipeline = [dict(type='LoadImageFromFile')]
    originals, copies = (build(r, 'val', pipeline=pipeline) for r in (fake_coco, tmp_path / 'out'))
    for original, sample in zip(originals, copies, strict=True):
        assert sample['img'].shape == (32, 32, 3)
        assert sample['gt_label'].tolist() == original['gt_label'].tolist()
        # sizes and areas are still those of the original
        assert sample['height'] == original['height'] == original['img'].shape[0]
        assert sample['instance_areas'].tolist() == original['instance_areas'].tolist()


def test_a_second_call_writes_only_what_is_missing(source, tmp_path):
    target = tmp_path / 'out'
    make(source, target)
    (target / 'a/1.jpg').unlink()
    (target / 'b/deep/2.JPEG').write_bytes(b'kept')
    half = target / 'a/.1.jpg.0123456789abcdef.tmp'
    half.write_bytes(b'half')
    (target / 'labels.json').write_text('mine')
    copy = make(source, target)
    assert (copy.written, copy.present, copy.others) == (1, 1, 0)
    assert (target / 'b/deep/2.JPEG').read_bytes() == b'kept'
    assert not half.exists()  # of a worker that was killed
    assert (target / 'labels.json').read_text() == 'mine'

    (source / 'labels.json').write_text('newer')
    later = (target / 'labels.json').stat().st_mtime + 10
    os.utime(source / 'labels.json', (later, later))
    assert make(source, target).others == 1
    assert (target / 'labels.json').read_text() == 'newer'


@pytest.mark.parametrize('workers', [0, 2])
def test_unreadable_files_are_listed_and_the_rest_goes_on(source, tmp_path, workers):
    content = (source / 'a/1.jpg').read_bytes()
    (source / 'a/0.jpg').write_bytes(b'no image')
    (source / 'a/empty.png').write_bytes(b'')
    (source / 'a/gone.jpg').symlink_to('nowhere')
    (source / 'gone.json').symlink_to('nowhere')
    target = tmp_path / 'out'
    copy = make(source, target, workers=workers)
    assert copy.written == 2
    failed = {'a/0.jpg', 'a/empty.png', 'a/gone.jpg', 'gone.json'}
    lines = [json.loads(line) for line in (target / 'failed.jsonl').read_text().splitlines()]
    assert lines == copy.failed
    assert {entry['path'] for entry in lines} == failed
    assert all(entry['error'] for entry in lines)
    assert not files(target) & failed

    # a repaired image is made by the next call, which has a list of its own
    for name in failed:
        (source / name).unlink()
    (source / 'a/0.jpg').write_bytes(content)
    copy = make(source, target, workers=workers)
    assert (copy.written, copy.present, copy.failed) == (1, 2, [])
    assert not (target / 'failed.jsonl').exists()


def test_links_are_followed_but_never_written_through(source, tmp_path):
    outside = tmp_path / 'outside'
    (source / 'a').rename(outside)
    (source / 'a').symlink_to(outside)
    (source / 'b/around').symlink_to(source)  # a circle
    target = tmp_path / 'out'
    make(source, target)
    assert files(outside) == {'1.jpg'}
    assert cv2.imread(str(outside / '1.jpg')).shape == (60, 80, 3)
    assert files(target) == {'a/1.jpg', 'b/deep/2.JPEG', 'labels.json', 'resized_copy.json'}
    assert not (target / 'a').is_symlink()

    (source / 'c').mkdir()
    (source / 'c/3.jpg').write_bytes((outside / '1.jpg').read_bytes())
    (target / 'c').symlink_to(outside)
    with pytest.raises(ValueError, match=r'c leads out of .*: remove that link'):
        make(source, target)
    assert not (outside / '3.jpg').exists()


def test_archives_and_files_that_a_link_leads_to_outside_are_left_out(source, tmp_path):
    for name in ('train.zip', 'a/x.tar.gz', 'y.TAR'):
        (source / name).write_bytes(b'')
    outside = tmp_path / 'outside'
    outside.mkdir()
    (outside / 'key').write_text('secret')
    (source / 'key.json').symlink_to(outside / 'key')
    (source / 'a' / 'keys').symlink_to(outside)
    (source / 'b' / 'labels.json').symlink_to(source / 'labels.json')  # inside: a file like others
    copy = make(source, tmp_path / 'out')
    assert copy.left_out == ['a/x.tar.gz', 'train.zip', 'y.TAR']
    assert copy.outside == ['a/keys/key', 'key.json']
    assert files(tmp_path / 'out') == {
        'a/1.jpg', 'b/deep/2.JPEG', 'b/labels.json', 'labels.json', 'resized_copy.json'
    }  # fmt: skip


@pytest.mark.parametrize('number', [errno.ENOSPC, errno.EACCES])
def test_an_error_of_writing_ends_the_call_and_keeps_what_is_there(
    source, tmp_path, monkeypatch, number
):
    original = resized_copy.atomic_write

    def refuse(path, **options):
        if path.name == '2.JPEG':
            raise OSError(number, 'Error of the disk', str(path))
        return original(path, **options)

    message = 'no space left for the copy' if number == errno.ENOSPC else r'disk.*2\.JPEG'
    monkeypatch.setattr(resized_copy, 'atomic_write', refuse)
    with pytest.raises(OSError, match=message) as error:
        make(source, tmp_path / 'out')
    assert error.value.errno == number
    monkeypatch.undo()
    copy = make(source, tmp_path / 'out')
    assert (copy.written, copy.present) == (1, 1)


def test_links_to_themselves_and_to_what_never_ends(source, tmp_path):
    (source / 'self.jpg').symlink_to('self.jpg')
    (source / 'self.json').symlink_to('self.json')
    (source / 'zero.jpg').symlink_to('/dev/null')
    os.mkfifo(source / 'pipe')
    (source / 'pipe.json').symlink_to('pipe')
    copy = make(source, tmp_path / 'copy', 8)
    reasons = {entry['path']: entry['error'] for entry in copy.failed}
    assert reasons.keys() == {'self.jpg', 'self.json', 'zero.jpg', 'pipe.json'}
    assert 'levels of symbolic links' in reasons['self.jpg']
    assert reasons['zero.jpg'] == reasons['pipe.json'] == 'a device, a pipe or a socket, not a file'


def test_what_is_refused_and_the_way_out(source, tmp_path):
    """As the messages say: another folder, other numbers, a link or a copy removed."""
    (tmp_path / 'link').symlink_to(source)
    for name in ('mine', 'empty', 'into'):
        (tmp_path / name).mkdir()
    (tmp_path / 'mine/1.jpg').write_bytes(b'mine')
    out, before = tmp_path / 'out', files(source)
    for arguments, message in (
        ((source, source), 'is the source itself: choose another folder'),
        ((source, tmp_path / 'link'), 'is the source itself'),
        ((source, source / 'a'), 'one inside the other.* such as .*source_resized'),
        ((source, source / 'new'), 'one inside the other'),
        ((source, tmp_path), 'one inside the other'),
        ((source, tmp_path / 'mine'), 'is not empty and not a resized copy: choose another'),
        ((source, out, 0), 'size must be from 1 to 65500, but got 0'),
        ((source, out, 32, 101), 'quality must be from 1 to 100, but got 101'),
        ((tmp_path / 'nowhere', out), r'no folder at .*nowhere'),
        ((tmp_path / 'empty', out), 'empty holds no image'),
    ):
        with pytest.raises((ValueError, FileNotFoundError), match=message):
            make(*arguments)
    assert files(source) == before and files(tmp_path / 'mine') == {'1.jpg'} and not out.exists()
    make(source, source.with_name('source_resized'))
    (source / 'into').symlink_to(tmp_path / 'into')
    with pytest.raises(ValueError, match=r'into is a link into the target .*: remove it'):
        make(source, tmp_path / 'into')
    (source / 'into').unlink()
    make(source, tmp_path / 'into')  # an empty folder

    for options in (dict(size=64), dict(quality=90)):
        with pytest.raises(ValueError, match=r"'size': 32, 'quality': 95.* choose another"):
            make(source, tmp_path / 'into', **options)
    settings = tmp_path / 'into/resized_copy.json'
    for content in ('', '[]', '5', '{"size": 32}', '{"size"', '[' * 10**5, '\0' * 30):
        settings.write_text(content)
        with pytest.raises(ValueError, match=r'other settings .*copy\.json .* delete .*into'):
            make(source, tmp_path / 'into')
    shutil.rmtree(tmp_path / 'into')
    make(source, tmp_path / 'into', 64)
    (tmp_path / 'into/failed.jsonl').write_text('')
    make(tmp_path / 'into', out)  # a copy of a copy has settings of its own
    assert json.loads((out / 'resized_copy.json').read_text()) == dict(size=32, quality=95)
    assert not (out / 'failed.jsonl').exists()
