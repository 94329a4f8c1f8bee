import json

import pytest

from mmpretrain_mldecoder.fileio.json_files import JsonLinesAppender, json_line, read_json_lines


def append(path, *records):
    file = JsonLinesAppender(path)
    for record in records:
        file.add(record)
    file.close()


def test_append_and_read(tmp_path):
    path = tmp_path / 'new' / 'x.jsonl'
    append(path, dict(a=1))
    append(path, dict(b='狗'), dict(c=[0.1 + 0.2]))
    places, records = zip(*read_json_lines(path), strict=True)
    assert records == (dict(a=1), dict(b='狗'), dict(c=[0.1 + 0.2]))
    lines = path.read_bytes().splitlines(keepends=True)
    assert places == (0, len(lines[0]), len(lines[0] + lines[1]))
    assert '狗' in path.read_text('utf-8')


def test_each_line_is_on_the_disk_at_once(tmp_path):
    file = JsonLinesAppender(tmp_path / 'x.jsonl')
    file.add(dict(a='x' * 100_000))
    assert len(list(read_json_lines(tmp_path / 'x.jsonl'))) == 1
    file.close()


@pytest.mark.parametrize('torn', [b'', b'{', b'{"a": 3}', b'\xe7\x8b', b'x' * 100_000])
@pytest.mark.parametrize('whole', [b'', b'{"a": 1}\n{"a": 2}\n'])
def test_torn_line_is_left_out_and_cut_off(tmp_path, whole, torn):
    path = tmp_path / 'x.jsonl'
    path.write_bytes(whole + torn)
    expected = [json.loads(line) for line in whole.splitlines()]
    assert [record for _, record in read_json_lines(path)] == expected
    append(path, dict(a=9))
    assert path.read_bytes() == whole + b'{"a": 9}\n'


def test_damaged_line_in_the_middle_is_left_out(tmp_path):
    (tmp_path / 'x.jsonl').write_bytes(b'{"a": 1}\n\0\0\0\n{"a": 2}\n')
    found = list(read_json_lines(tmp_path / 'x.jsonl'))
    assert found == [(0, dict(a=1)), (13, dict(a=2))]


@pytest.mark.parametrize(
    'line',
    [b'5', b'[]', b'"x"', b'null', b'[' * 10**5 + b']' * 10**5, b'1' * 5000, b'{"a": "\xe9"}'],
)
def test_a_line_that_holds_no_record_is_left_out(tmp_path, line):
    (tmp_path / 'x.jsonl').write_bytes(line + b'\n{"a": 2}\n')
    assert list(read_json_lines(tmp_path / 'x.jsonl')) == [(len(line) + 1, dict(a=2))]


def test_no_file(tmp_path):
    assert list(read_json_lines(tmp_path / 'gone.jsonl')) == []


def test_name_that_is_no_utf8():
    name = b'caf\xe9.jpg'.decode(errors='surrogateescape')
    line = json_line(dict(path=name))
    assert json.loads(line.decode('ascii'))['path'] == name
