import json
import os
import re
from concurrent.futures import ThreadPoolExecutor
from itertools import product

import pytest

from mmpretrain_mldecoder.fileio import files, json_files
from mmpretrain_mldecoder.fileio.json_files import (
    JsonLinesAppender,
    json_line,
    place_of_nesting,
    read_json_bytes,
    read_json_lines,
)

TEXT = '{"name": "Katze – 猫 😀"}'


@pytest.fixture
def write(tmp_path):
    def write(content):
        path = tmp_path / 'ann.json'
        path.write_bytes(content)
        return path

    return write


@pytest.mark.parametrize('blanks', ['', ' \t\r\n' * 1000])
@pytest.mark.parametrize('chunk', [1, 2, 5, 2**18])  # characters across chunks
def test_plain_text(write, monkeypatch, blanks, chunk):
    monkeypatch.setattr(json_files, '_CHUNK_BYTES', chunk)
    content = (blanks + TEXT + blanks).encode()
    assert read_json_bytes(write(content)) == content


def test_the_byte_order_mark_becomes_blanks(write, monkeypatch):
    path = write(TEXT.encode('utf-8-sig'))
    assert read_json_bytes(path) == b'   ' + TEXT.encode()
    monkeypatch.setattr(files, '_LARGE_BYTES', 0)
    assert read_json_bytes(path) == b'   ' + TEXT.encode()


def test_a_pipe(tmp_path):
    path = tmp_path / 'pipe'
    os.mkfifo(path)
    with ThreadPoolExecutor() as pool:
        pool.submit(path.write_bytes, TEXT.encode())
        assert read_json_bytes(path) == TEXT.encode()
        pool.submit(path.write_bytes, TEXT.encode()[:-1])
        with pytest.raises(ValueError, match='does not end in'):
            read_json_bytes(path)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'\x1f\x8b\x08', 'compressed with gzip, not JSON: unpack it with gunzip'),
        (b'PK\x03\x04', 'a zip archive, not JSON: unpack it with unzip'),
        (b'version https://git-lfs.github.com/spec/v1\n', 'fetch the file with git lfs pull'),
        (b'BZh91AY', 'bzip2'),
        (b'\xfd7zXZ\0', 'compressed with xz'),
        (bytes.fromhex('28b52ffd') + bytes(20), 'zstd'),
        (TEXT.encode('utf-16'), 'UTF-16, not JSON: convert it with iconv'),
        (TEXT.encode('utf-16-le'), 'UTF-16'),
        (TEXT.encode('utf-16-be'), r'not valid JSON|UTF-16|not UTF-8'),
        (b'\n<!DOCTYPE html><html>', 'a web page or XML'),
        (b'', 'is empty: copy'),
        (b'\xef\xbb\xbf \n', 'is empty: copy'),
        (b' ' * 5000, 'is empty: copy'),
        (TEXT.encode()[:-1], r'\(29 bytes\) is not valid JSON: it does not end in "}" but in b'),
        (TEXT.encode() + b'\0', 'does not end in'),
        (b' \n' * 2000 + TEXT.encode()[:-1], None),  # the head is all blanks: left to the parser
    ],
    ids=lambda value: 'content' if isinstance(value, bytes) else None,
)
def test_what_is_no_json(write, content, message):
    path = write(content)
    if message is None:
        assert read_json_bytes(path) == content
        return
    with pytest.raises(ValueError, match=message) as error:
        read_json_bytes(path)
    assert str(path) in str(error.value)


def test_an_incomplete_file_is_refused_before_it_is_read(write, monkeypatch):
    monkeypatch.setattr(json_files, 'read_whole_file', None)
    path = write(b'{"images": [')
    with open(path, 'r+b') as file:
        file.truncate(10**12)  # takes no room on the disk
    with pytest.raises(ValueError, match=r'1000000000000 bytes.*does not end'):
        read_json_bytes(path)


@pytest.mark.parametrize('chunk', [1, 3, 2**18])
@pytest.mark.parametrize('wrong', [b'\xe9', b'\xed\xa0\x80', b'\xc0\x80', b'\xf4\x90\x80\x80'])
def test_the_place_of_what_is_not_utf8(write, monkeypatch, chunk, wrong):
    monkeypatch.setattr(json_files, '_CHUNK_BYTES', chunk)
    for before, mark in product(['', 'é', '猫', '😀'], [b'', b'\xef\xbb\xbf']):
        content = mark + b'{"x' + before.encode() + wrong + b'"}'
        with pytest.raises(UnicodeDecodeError) as oracle:
            content.decode()
        with pytest.raises(ValueError, match='is not UTF-8') as error:
            read_json_bytes(write(content))
        assert int(re.search(r'\(byte (\d+)\)', str(error.value))[1]) == oracle.value.start


@pytest.mark.parametrize(
    ('text', 'levels', 'place'),
    [
        (b'[[]]', 1, 1),
        (b'[[]]', 2, None),
        (b'[[], [], {"a": []}]', 2, 15),
        (b'{"[[[": "]\\"[[\\\\", "a": [{}]}', 2, 25),
    ],
)
def test_place_of_nesting(text, levels, place):
    assert place_of_nesting(text, levels) == place


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


def test_lines_that_hold_no_record_are_left_out(tmp_path):
    nested, long = b'[' * 10**5 + b']' * 10**5, b'1' * 5000
    for line in (b'5', b'[]', b'"x"', b'null', b'\0\0', nested, long, b'{"a": "\xe9"}'):
        (tmp_path / 'x.jsonl').write_bytes(b'{"a": 1}\n' + line + b'\n{"a": 2}\n')
        found = list(read_json_lines(tmp_path / 'x.jsonl'))
        assert found == [(0, dict(a=1)), (len(line) + 10, dict(a=2))]


def test_no_file(tmp_path):
    assert list(read_json_lines(tmp_path / 'gone.jsonl')) == []


def test_name_that_is_no_utf8():
    name = b'caf\xe9.jpg'.decode(errors='surrogateescape')
    line = json_line(dict(path=name))
    assert json.loads(line.decode('ascii'))['path'] == name
