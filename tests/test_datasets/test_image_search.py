"""Which files of a folder or a glob are images, and what is said of the others."""

import glob
import io
import os
from pathlib import Path

from PIL import Image

from mmpretrain_mldecoder.datasets.decode_image import decode_image
from mmpretrain_mldecoder.datasets.image_header import image_suffixes
from mmpretrain_mldecoder.datasets.image_search import (
    describe_left_out,
    find_images,
    glob_images,
)


def make(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def names_in(folder: Path) -> list[str]:
    return [os.path.relpath(path, folder) for path in find_images(folder)[0]]


def test_every_ending_that_is_read_is_found_in_either_case(tmp_path):
    pixels = Image.new('RGB', (8, 8), (9, 99, 200))
    written = 0
    for suffix, format in image_suffixes().items():
        make(tmp_path, f'a{suffix}', f'B{suffix.upper()}')
        if format in Image.SAVE and suffix not in ('.ico', '.icns'):
            out = io.BytesIO()
            pixels.save(out, format)
            assert decode_image('a', out.getvalue()).shape == (8, 8, 3), suffix
            written += 1
    images, left_out = find_images(tmp_path)
    assert len(images) == 2 * len(image_suffixes()) and not left_out
    assert written > 20
    known = image_suffixes().keys()
    assert {'.jpg', '.jpeg', '.jpe', '.jfif', '.png', '.gif', '.webp', '.tif'} <= known
    assert not {'.pdf', '.eps', '.svg', '.mpg', '.txt'} & known


def test_links_are_followed_once(tmp_path):
    root = tmp_path / 'photos'
    make(root, 'z/1.jpg', 'z/deep/2.jpg')
    make(tmp_path, 'elsewhere/3.jpg', 'elsewhere/in/4.jpg')
    links = {'a': 'z', 'c': '../elsewhere', 'd': '../elsewhere', 'e': '../elsewhere/in'}
    loops = {'b': '.', 'z/deep/up': '..', 'z/top': '../..', '../elsewhere/back': '../photos'}
    for name, target in (links | loops).items():
        (root / name).symlink_to(target)
    (root / 'link.jpg').symlink_to('z/1.jpg')
    assert names_in(root) == ['c/3.jpg', 'c/in/4.jpg', 'link.jpg', 'z/1.jpg', 'z/deep/2.jpg']
    assert names_in(root / 'b') == names_in(root)
    found, _ = glob_images(str(root / '**/*'))
    real = [os.path.realpath(os.path.dirname(path)) + os.path.basename(path) for path in found]
    assert len(real) == len(set(real)) == 5
    assert glob_images(str(root / '*/**/deep/*'))[0] == [str(root / 'z/deep/2.jpg')]


def test_globs_find_what_python_finds(tmp_path, monkeypatch):
    make(tmp_path, '1.jpg', 'a/2.jpg', 'a/b/3.png', 'a/b/c/4.jpg', 'long/b/5.jpg', 'long/x[1].jpg')
    monkeypatch.chdir(tmp_path)
    for pattern in (
        '**', '**/*', '*/**', '**/b/*', '**/b/**', '**/*.jpg', 'a/**/*.jpg', '**/**/*', '*/*.jpg',
        '**/[a-c]/*', '?/**/c/*', 'x/**', '**.jpg', 'long/x[[]1].jpg', 'a/**', '[a-m]*/**/b/*',
        '**/?.png',
    ):  # fmt: skip
        for root in ('', f'{tmp_path}{os.sep}'):
            expected = [f for f in glob.glob(root + pattern, recursive=True) if os.path.isfile(f)]
            assert glob_images(root + pattern)[0] == sorted(set(expected)), pattern


def test_a_folder_that_cannot_be_opened_is_counted(tmp_path, monkeypatch):
    make(tmp_path, 'a.jpg', 'closed/b.jpg')
    scan = os.scandir

    def refuse(path):
        if os.fspath(path).endswith('closed'):
            raise PermissionError(13, 'Permission denied', path)
        return scan(path)

    monkeypatch.setattr(os, 'scandir', refuse)
    images, left_out = find_images(tmp_path)
    assert len(images) == 1
    assert describe_left_out(left_out) == '1 file left out: 1 folder that cannot be opened'
