import codecs
import csv
import io

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmpretrain_mldecoder.datasets.label_files import Answers
from mmpretrain_mldecoder.datasets.label_files.csv_labels import FORMAT
from mmpretrain_mldecoder.datasets.label_files.image_names import ImageNames
from mmpretrain_mldecoder.datasets.label_files.label_source import LabelSource
from mmpretrain_mldecoder.errors import OpenQuestion

EXPECTED = {'a.jpg': ['cat', 'hot dog'], 'b.jpg': []}


@pytest.mark.parametrize('yes, no', (('x', ''), ('X', '0'), ('Y', 'n'), ('t', 'F'), ('Yes', 'NO')))
def test_words_and_letters_for_yes_and_no(folder, yes, no):
    folder.add_images('a.jpg', 'b.jpg')
    folder.write('l.csv', f'image,cat,dog\na.jpg,{yes},{no}\nb.jpg,{yes},{yes}\n')
    assert folder.labels(empty='no') == {'a.jpg': ['cat'], 'b.jpg': ['cat', 'dog']}


def test_letters_that_both_mean_yes_are_names(folder):
    folder.add_images('a.jpg', 'b.jpg')
    folder.write('l.csv', 'image,label\na.jpg,X\nb.jpg,Y\n')
    assert folder.labels() == {'a.jpg': ['X'], 'b.jpg': ['Y']}


@pytest.mark.parametrize(
    'text',
    (
        'image,labels\na.jpg,"cat,hot dog"\nb.jpg,\n',
        'image,labels\r\na.jpg,"cat, hot dog"\r\nb.jpg,""\r\n',
        'image,labels\na.jpg,cat|hot dog\nb.jpg,\n',
        'image,labels\na.jpg,cat;hot dog\nb.jpg,\n',
        'image,labels\na.jpg,cat，hot dog\nb.jpg,\n',
        'image,labels\na.jpg,cat、hot dog\nb.jpg,\nb.jpg,\na.jpg,"cat, hot dog"\n',
        'image;labels\na.jpg;cat,hot dog\nb.jpg;\n',
        'image\tlabels\na\tcat,hot dog\nb\t\n',
        'image,labels\na.jpg,"cat\nhot dog"\nb.jpg,\n',
        "image,labels\na.jpg,\"['cat', 'hot dog']\"\nb.jpg,[]\n",
        'image,labels\na.jpg,"[""hot dog"", ""cat""]"\nb.jpg,\n',
        'image,labels\na.jpg,"[cat, hot dog]"\nb.jpg,[]\n',
        'image,labels,\na.jpg,cat|hot dog,\nb.jpg,,\n',
        'image;labels;;\na.jpg;cat|hot dog;; \nb.jpg;;;\n',
        'image,labels,,,\na.jpg,cat|hot dog,,\nb.jpg,\n',
        'image, labels\n\na.jpg , cat | hot dog\nb.jpg,\n\n',
        'width,path,Finding Labels,fold\n8,./a.jpg,hot dog|cat,2\n8,b.jpg,,3\n',
        'image,cat,hot dog\na.jpg,1,1\nb.jpg,0,0\n',
        'image, cat, hot dog\na.jpg, 1.0, True\nb.jpg, 0.0, false\n',
        'image,width,cat,hot dog\na.jpg,8,1,1\nb.jpg,8,0,0\n',
    ),
)
@pytest.mark.parametrize(
    'encoding', ('utf-8', 'utf-8-sig', 'utf-16'), ids=('plain', 'marked', 'utf16')
)
def test_reads_both_layouts(folder, text, encoding):
    folder.add_images('a.jpg', 'b.jpg')
    folder.write('labels.csv', text, encoding)
    assert folder.labels() == EXPECTED


def test_a_split_column_is_read_and_other_columns_are_named(folder):
    folder.add_images('a.jpg', 'b.jpg')
    folder.write('l.csv', 'fname,labels,is_valid,age\na.jpg,"cat,dog",True,3\nb.jpg,dog,False,4\n')
    table = folder.read()
    assert table.splits == ('val', 'train')
    assert any('age' in note for note in table.notes)
    folder.write('l.csv', 'fname,labels,set\na.jpg,"cat,dog",VALIDATION\nb.jpg,dog,training\n')
    assert folder.read().splits == ('val', 'train')


def test_a_split_column_has_any_name(folder):
    folder.add_images('a.jpg', 'b.jpg', 'c.jpg')
    cells = ('train', 'val', 'train')  # of the labels a class of COCO
    rows = [f'{name}.jpg,{cell},{cell}\n' for name, cell in zip('abc', cells, strict=True)]
    folder.write('l.csv', f'image,label,split_name\n{"".join(rows)}')
    table = folder.read()
    assert table.splits == cells
    assert table.classes == ('train', 'val')


@pytest.mark.parametrize(
    ('column', 'names', 'split', 'is_said'),
    [
        ('Patient ID', '112', 'x', True),
        ('Patient Age', '112', 'x', False),
        ('video_id', '123', 'x', False),  # nothing to keep together
        ('Patient ID', '112', 'split', False),
    ],
)
def test_a_column_that_may_be_one_of_groups_is_named(folder, column, names, split, is_said):
    folder.add_images('a.jpg', 'b.jpg', 'c.jpg')
    lines = [f'{name}.jpg,cat,{of},train\n' for name, of in zip('abc', names, strict=True)]
    folder.write('l.csv', f'image,labels,{column},{split}\n{"".join(lines)}')
    notes = folder.read(label_columns=('labels',)).notes
    assert any('group_column' in note and column in note for note in notes) == is_said


def test_a_group_column_is_read_if_named(folder):
    folder.add_images('a.jpg', 'b.jpg')
    folder.write('l.csv', 'image,labels,patient\na.jpg,"cat,dog",7\nb.jpg,dog,7\n')
    assert folder.read(group_column='patient').groups == ('7', '7')
    assert not [note for note in folder.read().notes if 'group_column' in note]  # there is one
    with pytest.raises(ValueError, match='near: patient'):
        folder.read(group_column='Patient')


def test_asks_whether_blanks_separate(folder):
    folder.add_images('a.jpg', 'b.jpg')
    folder.write('l.csv', 'image_name,tags\na,haze primary\nb,clear\n')
    assert set(folder.asked('separator')) == {'blank', 'none'}
    assert folder.labels(separator='blank') == {'a.jpg': ['haze', 'primary'], 'b.jpg': ['clear']}
    assert folder.labels(separator='none') == {'a.jpg': ['haze primary'], 'b.jpg': ['clear']}


def test_blanks_between_numbers_separate(folder):
    folder.add_images('a.png', 'b.png')
    folder.write('l.csv', 'Id,Target\na,16 0\nb,7\n')
    assert folder.labels() == {'a.png': ['0', '16'], 'b.png': ['7']}
    assert folder.read().classes == ('0', '7', '16')


@pytest.mark.parametrize('sign', '+/:&')
def test_asks_about_other_signs_where_labels_recur(folder, sign):
    folder.add_images('a.jpg', 'b.jpg', 'c.jpg', 'd.jpg')
    rows = (('a', 'sea', 'sky'), ('b', 'sea', 'sun'), ('c', 'sky', 'sun'), ('d', 'sky'))
    folder.write('l.csv', 'image,labels\n' + ''.join(f'{i},{sign.join(r)}\n' for i, *r in rows))
    assert set(folder.asked('separator')) == {sign, 'none'}
    assert folder.labels(separator=sign) == {f'{i}.jpg': r for i, *r in rows}
    assert len(folder.read(separator='none').classes) == 4
    folder.write('l.csv', f'image,labels\na,animal{sign}cat\nb,animal{sign}dog\n')
    assert len(folder.read().classes) == 2


def test_several_columns_with_a_label_each(folder):
    """As the two types of a Pokemon."""
    folder.add_images('a.png', 'b.png')
    folder.write('l.csv', 'name,Type1,Type2,Size\na,grass,poison,1\nb,fire,,0\n')
    columns = ('Type1', 'Type2')
    labels = folder.labels(image_column='name', label_columns=columns)
    assert labels == {'a.png': ['grass', 'poison'], 'b.png': ['fire']}
    with pytest.raises(ValueError, match="'Size'"):
        folder.read(image_column='name', label_columns=(*columns, 'Size'))
    folder.write('l.csv', 'name,tag 1,tag 2\na,grass,poison\nb,fire,\n')
    assert ('tag 1', 'tag 2') in folder.asked('label_columns')


def test_asks_which_of_two_separators_it_is(folder):
    folder.add_images('a.jpg')
    folder.write('l.csv', 'image,labels\na.jpg,"dog, hot|cat"\n')
    assert set(folder.asked('separator')) == {'pipe', 'comma', 'none'}
    assert folder.labels(separator='pipe') == {'a.jpg': ['cat', 'dog, hot']}
    assert folder.labels(separator='|') == {'a.jpg': ['cat', 'dog, hot']}


def test_asks_what_minus_one_zero_and_empty_mean(folder):
    folder.add_images('a.jpg', 'b.jpg')
    folder.write('l.csv', 'image,cat,dog,cow\na.jpg,1,0,-1\nb.jpg,,1,1\n')
    assert set(folder.asked('minus_one')) == {'no', 'unknown'}
    folder.asked('empty', minus_one='unknown')
    folder.asked('zero', minus_one='no')
    chexpert = folder.labels(minus_one='unknown', empty='no')
    assert chexpert == {'a.jpg': ['cat', '?cow'], 'b.jpg': ['dog', 'cow']}
    voc = folder.labels(minus_one='no', zero='unknown', empty='unknown')
    assert voc == {'a.jpg': ['cat', '?dog'], 'b.jpg': ['?cat', 'dog', 'cow']}


def test_asks_for_columns_that_are_not_clear(folder):
    folder.add_images('a.jpg', 'b.jpg')
    folder.write('l.csv', 'image,tags,genre\na.jpg,p,y\nb.jpg,p,z\n')
    assert set(folder.asked('label_columns')) == {('tags',), ('genre',), ('tags', 'genre')}
    assert folder.labels(label_columns=('genre',)) == {'a.jpg': ['y'], 'b.jpg': ['z']}
    folder.write('l.csv', 'image,tags,cat,dog\na.jpg,p,0,1\nb.jpg,p,1,1\n')
    assert set(folder.asked('label_columns')) == {('tags',), ('cat', 'dog')}
    assert folder.labels(label_columns=('cat', 'dog'))['a.jpg'] == ['dog']
    folder.write('l.csv', 'name,labels\nx,cat\ny,dog\n')
    assert set(folder.asked('image_column')) == {'name', 'labels'}
    folder.write('l.csv', 'image,copy,labels\na.jpg,b.jpg,cat\nb.jpg,a.jpg,dog\n')
    assert set(folder.asked('image_column')) == {'image', 'copy'}


def test_a_class_that_is_empty_in_one_split_is_unknown_there(folder):
    folder.add_images('train/a.jpg', 'val/a.jpg')
    folder.write('train.csv', 'image,age,cat,dog\na.jpg,,1,1\n')
    folder.write('val.csv', 'image,age,cat,dog\na.jpg,,1,\n')
    assert folder.labels(empty='no') == {'train/a.jpg': ['cat', 'dog'], 'val/a.jpg': ['cat']}
    folder.write('val.csv', 'image,age,cat,dog\na.jpg,,1,\na.jpg,,,\n')
    unknown = folder.read(empty='unknown')
    assert unknown.classes == ('cat', 'dog')
    assert unknown.targets.tolist() == [[1, 1], [1, -1]]
    assert not any('dog' in note for note in unknown.notes)


def test_cells_of_zeros_and_ones_are_no_images(folder):
    folder.add_images('0.jpg', '1.jpg')
    folder.write('l.csv', 'id,cat,dog\n0,1,0\n1,1,1\n')
    folder.asked('image_column')
    assert folder.labels(image_column='id') == {'0.jpg': ['cat'], '1.jpg': ['cat', 'dog']}


def test_addresses_are_asked_about_where_another_column_names_the_images(folder):
    """The posters of MovieGenre.csv are saved as <imdbId>.jpg."""
    folder.add_images('posters/114709.jpg', 'posters/113497.jpg')
    folder.write(
        'MovieGenre.csv',
        'imdbId,Title,Genre,Poster\n'
        '114709,Toy Story,Animation|Comedy,https://m.com/MV5BMDU@._V1_AL_.jpg\n'
        '113497,Jumanji,Action,https://m.com/MV5BZTk@._V1_AL_.jpg\n',
    )
    assert set(folder.asked('image_column')) == {'imdbId', 'Poster'}
    assert folder.labels(image_column='imdbId') == {
        'posters/114709.jpg': ['Animation', 'Comedy'],
        'posters/113497.jpg': ['Action'],
    }


def test_names_a_file_that_begins_as_a_missing_one(folder):
    """Human Protein Atlas has a file for each of the four channels of an image."""
    folder.add_images('train/ab12_red.png', 'train/ab12_green.png')
    folder.write('train.csv', 'Id,Target\nab12,16 0\n')
    with pytest.raises(ValueError, match=r'ab12_green\.png'):
        folder.read(image_column='Id')


def test_not_available_is_empty(folder):
    """AIMonk's labels.txt, and pandas' na_rep='NaN'."""
    folder.add_images('image_0.jpg', 'image_1.jpg')
    for name, text in {
        'labels.txt': 'image_0.jpg 1 NA 0\nimage_1.jpg NA 0 0\n',
        'labels.csv': 'image,0,1,2\nimage_0.jpg,1.0,NaN,0.0\nimage_1.jpg,nan,0.0,0.0\n',
    }.items():
        folder.write(name, text)
        folder.asked('empty', labels=name)
        table = folder.read(labels=name, empty='unknown')
        assert (table.classes, table.targets.tolist()) == (
            ('0', '1', '2'),
            [[1, -1, 0], [-1, 0, 0]],
        )


def test_says_that_classes_are_numbers(folder):
    """Human Protein Atlas has the numbers of classes, and no list of names."""
    folder.add_images('a.png', 'b.png')
    folder.write('train.csv', 'Id,Target\na,16 0\nb,7\n')
    table = folder.read()
    assert table.classes == ('0', '7', '16')
    assert any('class_names' in note for note in table.notes)


def test_asks_for_the_encoding_of_what_is_not_unicode(folder):
    folder.add_images('a.jpg', 'b.jpg')
    folder.write('l.csv', 'image,labels\na.jpg,dog\nb.jpg,Bär\n', 'latin-1')
    assert folder.asked('encoding')['cp1252'] == 'b.jpg,Bär'
    assert folder.labels(encoding='cp1252') == {'a.jpg': ['dog'], 'b.jpg': ['Bär']}
    with pytest.raises(ValueError, match='line 3'):
        folder.read(encoding='utf-8')
    with pytest.raises(ValueError, match='encoding'):
        folder.read(encoding='no such')


def test_names_the_line_of_mixed_encodings(folder):
    folder.add_images('a.jpg', 'b.jpg')
    folder.write('l.csv', '')
    content = 'image,labels\na.jpg,Bär\n'.encode() + 'b.jpg,Bär\n'.encode('latin-1')
    (folder.path / 'l.csv').write_bytes(content)
    with pytest.raises(ValueError, match=r'line 3 .* Line 2 is UTF-8') as caught:
        folder.read()
    assert not isinstance(caught.value, OpenQuestion)


@pytest.mark.parametrize(
    ('text', 'match'),
    (
        ('image,labels\na.jpg,cat,dog\nb.jpg,cat\n', r'1 of 2 rows .* row 2, has 3'),
        ('image,labels\na.jpg,"cat\nb.jpg,dog\n' + 'x' * 140_000, 'line 3|line 2|limit'),
        ('image,labels,labels\na.jpg,cat,dog\nb.jpg,cat,dog\n', "the name 'labels'"),
        ('image,labels\na.jpg,"cat\nb.jpg,dog\nb.jpg,cat\n', 'line 4 .* quote'),
        ('a,cat\nb,dog\n', "'a' in the first row is the name of an image"),
        ('image,labels,split\na.jpg,cat,train\nb.jpg,dog,eval\n', "no split, such as 'eval'"),
        ('image,labels,is_valid\na.jpg,cat,True\nb.jpg,dog,0.0\n', "no split, such as '0.0'"),
        ('image,x,y\na.jpg,1,1\nb.jpg,0,0\na.jpg,nan,1\n', "of the column 'x' .* 'nan'"),
        ('image,x,y\na.jpg,1,1\nb.jpg,0,2\na.jpg,0,1\n', "of the column 'y' .* '2'"),
        ('image,labels\na.jpg,"[1, 0, 0]"\nb.jpg,"[0, 1, 1]"\n', 'a value for each of 3'),
        ('image,labels\na.jpg,1 0\nb.jpg,1 1\n', 'row 2 has the labels 1, 1'),
    ),
)
def test_refuses_what_is_no_table(folder, text, match):
    folder.add_images('a.jpg', 'b.jpg')
    folder.write('l.csv', text)
    with pytest.raises(ValueError, match=match):
        folder.read(labels='l.csv', format='csv')


def test_hostile_names_are_names(folder):
    names = ('=cmd|calc', '../../etc/passwd', 'a\x1b[2J', '[red]x', "it's", '"q"', 'a, b')
    folder.add_images('x.jpg')
    text = io.StringIO(newline='')
    writer = csv.writer(text)
    writer.writerow(['image', *names])
    writer.writerow(['x.jpg', *'1' * len(names)])
    writer.writerow(['../../../etc/passwd', *'1' * len(names)])
    folder.write('l.csv', text.getvalue())
    table = folder.read()
    assert table.classes == names
    assert table.missing == ('../../../etc/passwd',)
    assert not any('\x1b' in note for note in table.notes)


NAMES = st.text(st.characters(codec='utf-8', exclude_characters='\0'), min_size=1, max_size=8)
NAMES = NAMES.map(str.strip).filter(bool)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    classes=st.lists(NAMES, min_size=1, max_size=5, unique=True),
    values=st.lists(st.lists(st.booleans(), min_size=5, max_size=5), min_size=1, max_size=6),
    delimiter=st.sampled_from((',', ';', '\t')),
)
def test_what_is_written_is_read(tmp_path_factory, classes, values, delimiter):
    """Any names, in columns of their own, come back."""
    path = tmp_path_factory.mktemp('csv') / 'l.csv'
    with path.open('w', newline='', encoding='utf-8') as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(['the image', *classes])
        for i, row in enumerate(values):
            writer.writerow([f'{i}.jpg', *map(int, row[: len(classes)])])
    answers = Answers(image_column='the image', label_columns=tuple(classes), delimiter=delimiter)
    labels = FORMAT.read(LabelSource(path, ImageNames(path.parent), answers))
    expected = [dict(zip(classes, map(int, row[: len(classes)]), strict=True)) for row in values]
    assert [row.labels for row in labels.rows] == expected
    assert codecs.BOM_UTF8 not in path.read_bytes()


def test_a_delimiter_is_one_character_or_its_name(folder):
    folder.add_images('a.jpg', 'b.jpg')
    folder.write('l.csv', 'image;labels\na.jpg;cat|hot dog\nb.jpg;\n')
    assert folder.labels(delimiter='semicolon') == folder.labels(delimiter=';') == EXPECTED
    with pytest.raises(ValueError, match=r"one character, .*tab; got ';;'"):
        folder.read(delimiter=';;')


def test_a_table_with_rows_of_different_lengths_is_found(folder):
    folder.add_images('a.jpg', 'b.jpg')
    folder.write('l.csv', 'image,labels\na.jpg,cat,dog\nb.jpg,cat\n')
    with pytest.raises(ValueError, match='row 2, has 3'):
        folder.read()


def test_a_table_with_long_rows_is_found(folder):
    """A file is recognised by a part of it, which may end in the middle of a row."""
    folder.add_images('a.jpg', 'b.jpg')
    rows = [f'{name},{"1,0," * 250}"{"a text, " * 100}"\n' for name in 'ab' * 40]
    names = ','.join(f'{kind} {i}' for i in range(250) for kind in ('yes', 'no'))
    folder.write('l.csv', f'image,{names},text\n{"".join(rows)}')
    labels = folder.labels()
    assert labels['a.jpg'] == labels['b.jpg'] == [f'yes {i}' for i in range(250)]


def test_a_column_of_other_numbers_is_no_class(folder):
    folder.add_images('a.jpg', 'b.jpg')
    folder.write('l.csv', 'image,age,cat\na.jpg,1,1\nb.jpg,44,0\n')
    assert folder.labels() == {'a.jpg': ['cat'], 'b.jpg': []}


def test_rows_may_have_labels_that_an_image_lacks(folder):
    """As in Open Images."""
    folder.add_images('a.jpg', 'b.jpg')
    rows = 'a,verification,cat,1\na,verification,dog,0\nb,verification,dog,1\nb,machine,cow,0\n'
    folder.write('l.csv', f'ImageID,Source,LabelName,Confidence\n{rows}')
    assert folder.asked('empty').keys() == {'no', 'unknown'}
    assert folder.labels(empty='no') == {'a.jpg': ['cat'], 'b.jpg': ['dog']}
    assert folder.labels(empty='unknown') == {'a.jpg': ['cat', '?cow'], 'b.jpg': ['?cat', 'dog']}
    folder.write('l.csv', f'ImageID,Source,LabelName,Confidence\n{rows.replace(",0", ",1")}')
    assert folder.labels() == {'a.jpg': ['cat', 'dog'], 'b.jpg': ['cow', 'dog']}
    folder.write('l.csv', f'ImageID,Source,LabelName,Confidence\n{rows}b,machine,cat,0.4\n')
    with pytest.raises(ValueError, match="'Confidence' has 0 and other values than 1"):
        folder.read()
