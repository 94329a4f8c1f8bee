from pathlib import Path

import pytest

from mmpretrain_mldecoder.apis import expand_inputs
from mmpretrain_mldecoder.apis.prediction_run import (
    check_names_differ,
    drawing_names,
    table_row,
    with_suffix,
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
    assert with_suffix(drawing_names([path])[path], '.jpg') == Path(expected)


def test_images_outside_are_named_by_what_was_given(tmp_path, monkeypatch):
    (tmp_path / 'here').mkdir()
    monkeypatch.chdir(tmp_path / 'here')
    photos, more = tmp_path / 'photos', tmp_path / 'more'
    for folder in (photos / 'a', more):
        folder.mkdir(parents=True)
        (folder / '1.jpg').touch()
    (more / 'list.txt').write_text('1.jpg\nin/2.jpg')
    for given, image, name in (
        (photos, photos / 'a/1.jpg', 'photos/a/1.jpg'),
        ('../photos', '../photos/a/1.jpg', 'photos/a/1.jpg'),
        (photos / '**/*.jpg', photos / 'a/1.jpg', 'photos/a/1.jpg'),
        (photos / 'a/1.jpg', photos / 'a/1.jpg', 'a/1.jpg'),
        (more / 'list.txt', more / 'in/2.jpg', 'more/in/2.jpg'),
        (more / 'list.txt', '/elsewhere/3.jpg', '_/elsewhere/3.jpg'),
    ):
        assert drawing_names([str(image)], [str(given)]) == {str(image): Path(name)}
    # two of one name
    both = [str(photos / 'a/1.jpg'), str(tmp_path / 'other/a/1.jpg'), str(more / '1.jpg')]
    names = drawing_names(both, both)
    assert names[both[2]] == Path('more/1.jpg')
    assert [names[path] for path in both[:2]] == [Path('_', path[1:]) for path in both[:2]]
    check_names_differ(names, '.jpg')


def test_same_file_has_one_name_and_a_clash_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    same = ['a/1.jpg', str(tmp_path / 'a' / '1.jpg')]
    names = drawing_names([*same, 'a/1.png', 'b/1.jpg'])
    assert {with_suffix(names[path], '.png') for path in same} == {Path('a/1.jpg.png')}
    check_names_differ(names, '.jpg')
    with pytest.raises(ValueError, match=r'drawings of a\.png and a\.png\.jpg would have the same'):
        check_names_differ(drawing_names(['a.png', 'b.png', 'a.png.jpg']), '.jpg')
    for into_one_folder in (['a.png', 'b.png'], ['a.png.jpg']):  # as the message advises
        check_names_differ(drawing_names(into_one_folder), '.jpg')


def test_drawings_of_a_list_file_stay_below_their_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ['/etc/passwd', '../../../etc/passwd', 'a/../../../../b.jpg', './/../x.jpg', '..', '/']
    Path('list.txt').write_text('\n'.join([*names, '_/../../x.jpg', '\x1b[2J.jpg']))
    paths = [*expand_inputs('list.txt'), *names, 'nul\0.jpg']
    for given in ([], ['list.txt'], [str(tmp_path.parent)], ['/']):
        for drawn in drawing_names(paths, given).values():
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
