import os
import signal
import socket
from pathlib import Path

import pytest

from mmpretrain_mldecoder.analysis.browse.image_check import ImageChecker
from mmpretrain_mldecoder.datasets.image_files import (
    decoded_names,
    missing_files,
    near_name,
    read_image_file,
)
from mmpretrain_mldecoder.datasets.transforms import LoadScaledImage, LoadWholeImage
from mmpretrain_mldecoder.errors import UnreadableImageError


@pytest.fixture(autouse=True)
def no_waiting():
    """End a test that waits for a pipe."""

    def give_up(*args):
        raise TimeoutError('still reading')

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, 5)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(params=['pipe', 'device', 'link to a device', 'socket'])
def endless(request, tmp_path, monkeypatch):
    path = tmp_path / 'a.jpg'
    if request.param == 'pipe':
        os.mkfifo(path)
    elif request.param == 'device':
        path = Path('/dev/null')  # and not zero, which would fill the memory if this failed
    elif request.param == 'link to a device':
        path.symlink_to('/dev/null')
    else:
        monkeypatch.chdir(tmp_path)  # the name of a socket is short
        socket.socket(socket.AF_UNIX).bind('a.jpg')
    return str(path)


def test_what_may_never_end_is_refused(endless):
    with pytest.raises(
        UnreadableImageError, match=f'{endless}: a device, a pipe or a socket, not a file'
    ):
        read_image_file(endless)
    for loader in (LoadWholeImage(), LoadScaledImage(min_side=8)):
        with pytest.raises(UnreadableImageError, match='not a file'):
            loader(dict(img_path=endless))
    (fault,) = ImageChecker().check((endless, None)).faults
    assert fault.code == 'unreadable' and 'a pipe' in fault.detail


@pytest.mark.parametrize(
    ('name', 'code', 'reason'),
    [
        ('gone.jpg', 'missing', 'No such file or directory'),
        ('.', 'unreadable', 'Is a directory'),
        ('a\0b.jpg', 'unreadable', 'embedded null byte'),
        ('x' * 5000, 'unreadable', 'File name too long'),
    ],
)
def test_paths_that_cannot_be_read(tmp_path, name, code, reason):
    with pytest.raises(UnreadableImageError, match=reason) as caught:
        read_image_file(os.path.join(tmp_path, name))
    assert caught.value.code == code
    assert str(caught.value).isprintable()


def test_missing_files_of_several_folders(tmp_path, monkeypatch):
    (tmp_path / 'a').mkdir()
    for name in ('a/1.jpg', '2.jpg'):
        (tmp_path / name).touch()
    names = ['a//1.jpg', 'a/3.jpg', '2.jpg', '4.jpg', 'b/1.jpg', str(tmp_path / 'a/1.jpg'), 'a\0/x']
    missing = ['a/3.jpg', '4.jpg', 'b/1.jpg', 'a\0/x']
    assert missing_files(tmp_path, names) == missing
    monkeypatch.chdir(tmp_path)
    assert missing_files('', names) == missing
    assert missing_files(tmp_path / 'none', ['1.jpg']) == ['1.jpg']


@pytest.mark.parametrize(
    ('name', 'near', 'ways'),
    [
        ('images\\1.jpg', '1.jpg', ['folders in front', 'backslashes']),
        ('http://example.org/pets/1.jpg?size=9', '1.jpg', ['the address']),
        ('/home/somebody/pets/a/2.jpg', 'a/2.JPEG', ['folders in front', 'upper', 'suffix']),
        ('C:\\pets\\A\\2.JPEG', 'a/2.JPEG', ['folders in front', 'backslashes', 'upper']),
        ('./a//2.jpeg', 'a/2.JPEG', ['upper and lower case']),
        ('1.png', '1.jpg', ['suffix']),
        (' 1.jpg ', '1.jpg', ['blanks']),
        ('Ku%CC%88che.jpg', 'K\u00fcche.jpg', ['percent codes', 'Unicode form']),
        ('3.gif', '3.jpg or 3.png', ['suffix']),
    ],
)
def test_the_near_name_of_a_missing_file_is_shown_with_what_differs(tmp_path, name, near, ways):
    (tmp_path / 'a').mkdir()
    for file in ('1.jpg', 'a/2.JPEG', 'K\u00fcche.jpg', '3.jpg', '3.png'):
        (tmp_path / file).touch()
    hint = near_name(tmp_path, ['other.jpg', name])
    assert hint.startswith(f'; near: {near} (differs in {ways[0]}')
    assert hint.count(' and ') - hint.count('upper and lower') == len(ways) - 1
    assert all(way in hint for way in ways)
    assert near_name(tmp_path, ['other.jpg', '../1.gif/2.jpg']) == ''
    assert near_name(tmp_path, ['']) == '; the name is empty'
    with pytest.raises(UnreadableImageError, match=r'near: 1\.jpg \(differs in upper') as caught:
        read_image_file(str(tmp_path / '1.JPG'))
    assert caught.value.code == 'missing'


def test_names_are_decoded_in_one_way_only_and_never_out_of_the_folder(tmp_path):
    folder = tmp_path / 'images'
    (folder / 'a').mkdir(parents=True)
    for file in (tmp_path / 'x y.jpg', folder / 'a/b c.jpg', folder / 'a' / 'b%20c.jpg'):
        file.touch()
    absolute = str(tmp_path / 'x%20y.jpg')
    names = ['a\\b%20c.jpg', '..%2Fx%20y.jpg', absolute, 'a%5Cb c.jpg', 'a%00b']
    # the first may be either of two files
    decoded, missing = decoded_names(folder, names, 'a list')
    assert decoded == {'a%5Cb c.jpg': 'a/b c.jpg'}
    assert missing == [name for name in names if name not in decoded]
