from pathlib import Path

import pytest

from mmpretrain_mldecoder.apis import expand_inputs
from mmpretrain_mldecoder.apis.predictions.prediction_run import (
    check_names_differ,
    drawing_name,
    table_row,
)


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


def test_same_file_has_one_name_and_a_clash_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert drawing_name(str(tmp_path / 'a' / '1.jpg'), '.png') == Path('a/1.jpg.png')
    check_names_differ(['a/1.jpg', str(tmp_path / 'a' / '1.jpg'), 'a/1.png', 'b/1.jpg'], '.jpg')
    with pytest.raises(ValueError, match=r'drawings of a\.png and a\.png\.jpg would have the same'):
        check_names_differ(['a.png', 'b.png', 'a.png.jpg'], '.jpg')


def test_drawings_of_a_list_file_stay_below_their_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ['/etc/passwd', '../../../etc/passwd', 'a/../../../../b.jpg', './/../x.jpg', '..', '/']
    Path('list.txt').write_text('\n'.join([*names, '_/../../x.jpg', '\x1b[2J.jpg']))
    for path in [*expand_inputs('list.txt'), *names, 'nul\0.jpg']:
        drawn = drawing_name(path, '.jpg')
        assert not drawn.is_absolute()
        assert '..' not in drawn.parts


def test_columns_are_aligned():
    predictions = [
        dict(path='a.jpg', labels=['dog', 'cat'], scores=[0.98765, 0.5]),
        dict(path='照片.jpg', labels=['鸟', 'dog'], scores=[1.0, 0.75]),
        dict(path=b'caf\xe9.jpg'.decode(errors='surrogateescape'), labels=[], scores=[]),
    ]
    # Chinese characters are two columns wide; a byte that is no UTF-8 is escaped.
    assert [table_row(p, path_width=11, label_width=3) for p in predictions] == [
        'a.jpg        dog 0.988  cat 0.500',
        '照片.jpg     鸟  1.000  dog 0.750',
        'caf\\xe9.jpg  -',
    ]
