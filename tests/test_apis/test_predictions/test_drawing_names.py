from pathlib import Path

import pytest

from mmpretrain_mldecoder.apis.predictions.prediction_run import check_names_differ, drawing_name


@pytest.mark.parametrize(
    ('path', 'name'),
    [
        ('a/1.jpg', 'a/1.jpg'),
        ('./a/../b/1.jpg', 'b/1.jpg'),
        ('a/1.png', 'a/1.png.jpg'),
        ('a/狗.JPG', 'a/狗.JPG.jpg'),
        ('/data/1.jpg', '_/data/1.jpg'),
        ('_/data/1.jpg', '_{here}/_/data/1.jpg'),
        ('../1.jpg', '_{above}/1.jpg'),
    ],
)
def test_names(tmp_path, monkeypatch, path, name):
    monkeypatch.chdir(tmp_path)
    expected = name.format(here=tmp_path, above=tmp_path.parent)
    assert drawing_name(path, '.jpg') == Path(expected)


def test_same_file_has_one_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert drawing_name(str(tmp_path / 'a' / '1.jpg'), '.png') == Path('a/1.jpg.png')
    check_names_differ(['a/1.jpg', str(tmp_path / 'a' / '1.jpg'), 'a/1.png', 'b/1.jpg'], '.jpg')


def test_clash_is_refused():
    with pytest.raises(ValueError, match=r'drawings of a\.png and a\.png\.jpg would have the same'):
        check_names_differ(['a.png', 'b.png', 'a.png.jpg'], '.jpg')
