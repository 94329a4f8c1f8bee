import io
import json
import logging
import multiprocessing
import os
import pickle
import shutil
import time
import zipfile
from collections import Counter
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmpretrain_mldecoder.datasets import (
    CocoAnnotations,
    annotation_cache,
    cached_coco_annotations,
    read_coco_annotations,
)


@pytest.fixture
def path(fake_coco):
    return fake_coco / 'annotations' / 'instances_train2017.json'


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The cache, which takes small and young files, too."""
    folder = tmp_path / 'cache'
    monkeypatch.setenv('MLDECODER_CACHE', str(folder))
    monkeypatch.setattr(annotation_cache, '_SMALLEST_BYTES', 0)
    monkeypatch.setattr(annotation_cache, '_SETTLED_NANOSECONDS', -(10**12))
    return folder


@pytest.fixture
def lines(monkeypatch):
    """(line, level) of what is logged."""
    lines = []
    monkeypatch.setattr(
        annotation_cache, 'print_log', lambda line, logger, level: lines.append((line, level))
    )
    return lines


def check_equal(ours, expected):
    for field in fields(CocoAnnotations):
        value, wanted = getattr(ours, field.name), getattr(expected, field.name)
        if isinstance(wanted, np.ndarray):
            assert value.dtype == wanted.dtype
            np.testing.assert_array_equal(value, wanted)
        else:
            assert type(value) is type(wanted)
            assert list(value) == list(wanted)


def check_read_then_cached(path):
    """Check that the file is read anew now, and comes from the cache the next time."""
    expected = read_coco_annotations(path)
    read, entry = cached_coco_annotations(path)
    assert entry is None
    check_equal(read, expected)
    cached, entry = cached_coco_annotations(path)
    assert entry is not None
    check_equal(cached, expected)
    return entry


def entries(folder):
    return sorted(folder.iterdir()) if folder.exists() else []


def test_the_second_read_comes_from_the_cache(path, folder, monkeypatch):
    entry = check_read_then_cached(path)
    assert entries(folder) == [entry]
    assert entry.name.startswith('instances_train2017-')
    monkeypatch.setattr(annotation_cache, 'read_coco_annotations', None)
    assert cached_coco_annotations(str(path))[1] == entry


def test_equals_reading_on_real_annotations(shared_data):
    check_read_then_cached(shared_data / 'coco_tiny/annotations/instances_val2017.json')


def test_names_of_any_script(path):
    content = json.loads(path.read_text())
    content['images'][0]['file_name'] = 'Ordner/Katze – 猫.jpg'
    content['categories'][0]['name'] = 'Größe'
    path.write_text(json.dumps(content))
    check_read_then_cached(path)


def test_no_boxes_at_all(path):
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, 'annotations': []}))
    check_read_then_cached(path)


def change_in_place(path):
    # two ids change places: another content of the same size
    text = path.read_text()
    path.write_text(text.replace('"category_id": 10', '"category_id": 20', 1))


def replace(path):
    other = path.with_suffix('.new')
    shutil.copyfile(path, other)
    change_in_place(other)
    other.replace(path)


@pytest.mark.parametrize('change', [change_in_place, replace])
def test_a_change_of_the_same_size_and_time_is_noticed(path, folder, change):
    check_read_then_cached(path)
    before = path.stat()
    time.sleep(0.02)  # longer than a tick of the file system's clock
    change(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    entry = check_read_then_cached(path)
    assert entries(folder) == [entry]  # the old one is gone


@pytest.mark.parametrize('change', [os.utime, lambda path: path.write_text(path.read_text() + ' ')])
def test_a_touched_or_grown_file_is_read_again(path, folder, change):
    check_read_then_cached(path)
    time.sleep(0.02)
    change(path)
    check_read_then_cached(path)
    assert len(entries(folder)) == 1


def test_each_path_has_its_own_entry_and_a_link_that_of_its_target(path, folder, tmp_path):
    other = tmp_path / 'other' / path.name
    other.parent.mkdir()
    shutil.copy2(path, other)
    first, second = check_read_then_cached(path), check_read_then_cached(other)
    assert first != second
    link = tmp_path / path.name
    link.symlink_to(path)
    assert cached_coco_annotations(link)[1] == first
    link.unlink()
    link.symlink_to(other)
    assert cached_coco_annotations(link)[1] == second
    assert len(entries(folder)) == 2


def test_an_entry_of_another_file_or_format_is_not_used(path, monkeypatch, tmp_path):
    entry = check_read_then_cached(path)
    other = shutil.copy2(path, tmp_path / 'other.json')
    shutil.copy2(check_read_then_cached(other), entry)
    check_read_then_cached(path)
    monkeypatch.setattr(annotation_cache, '_FORMAT', annotation_cache._FORMAT + 1)
    check_read_then_cached(path)


class Exploit:
    """Creates a file if it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def write_npz(entry, **changes):
    with np.load(entry) as file:
        arrays = dict(file)
    arrays.update(changes)
    with open(entry, 'wb') as file:
        np.savez(file, **{name: array for name, array in arrays.items() if array is not None})


def write_member(entry, name, data):
    """Replace an array by other bytes."""
    with zipfile.ZipFile(entry) as file:
        members = {info: file.read(info) for info in file.namelist()}
    with zipfile.ZipFile(entry, 'w') as file:
        for info, content in {**members, name: data}.items():
            file.writestr(info, content)


def flip_a_byte(entry):
    with np.load(entry) as file:
        array = file['annotation_areas'].tobytes()
    data = bytearray(entry.read_bytes())
    data[data.index(array) + 7] ^= 1
    entry.write_bytes(data)


def compress(entry):
    with np.load(entry) as file:
        arrays = dict(file)
    with open(entry, 'wb') as file:
        np.savez_compressed(file, **arrays)


def claim_a_terabyte(entry):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, dict(descr='<i8', fortran_order=False, shape=(2**37,))
    )
    write_member(entry, 'heights.npy', header.getvalue())


def put_objects(entry):
    write_npz(entry, heights=np.array([Exploit(entry.parent / 'executed')] * 12, object))


def put_a_pickle(entry):
    entry.write_bytes(pickle.dumps(Exploit(entry.parent / 'executed')))


DAMAGES = dict(
    empty=lambda entry: entry.write_bytes(b''),
    text=lambda entry: entry.write_text('not a zip'),
    half=lambda entry: entry.write_bytes(entry.read_bytes()[: entry.stat().st_size // 2]),
    flipped=flip_a_byte,
    compressed=compress,
    terabyte=claim_a_terabyte,
    objects=put_objects,
    pickle=put_a_pickle,
    npy=lambda entry: np.save(entry.open('wb'), np.arange(3)),
    brackets=lambda entry: write_member(
        entry, 'heights.npy', b'\x93NUMPY\x01\x00' + (9000).to_bytes(2, 'little') + b'(' * 9000
    ),
    no_identity=lambda entry: write_npz(entry, identity=None),
    identity=lambda entry: write_npz(entry, identity=np.frombuffer(b'{"a"', np.uint8)),
    missing=lambda entry: write_npz(entry, widths=None),
    dtype=lambda entry: write_npz(entry, widths=np.zeros(12)),
    length=lambda entry: write_npz(entry, widths=np.zeros(13, np.int64)),
    scalar=lambda entry: write_npz(entry, image_ids=np.int64(1)),
    matrix=lambda entry: write_npz(entry, widths=np.zeros((12, 2), np.int64)),
    names=lambda entry: write_npz(
        entry, **{'file_names.utf8': np.zeros(1, np.uint8), 'file_names.bounds': np.array([0, 1])}
    ),
    no_bounds=lambda entry: write_npz(entry, **{'file_names.bounds': np.zeros(0, np.int64)}),
    not_utf8=lambda entry: write_npz(entry, **{'category_names.utf8': np.full(12, 255, np.uint8)}),
    beyond=lambda entry: write_npz(entry, annotation_categories=np.full(22, 4)),
    negative=lambda entry: write_npz(entry, annotation_images=np.full(22, -1)),
)


@pytest.mark.parametrize('damage', DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_entry_is_written_anew_and_never_executed(path, folder, lines, damage):
    entry = check_read_then_cached(path)
    damage(entry)
    assert check_read_then_cached(path) == entry
    assert entries(folder) == [entry]
    assert all(level == logging.DEBUG for _, level in lines)


@st.composite
def damaged(draw, content):
    """Change one to three places of a file, which may move what follows."""
    for _ in range(draw(st.integers(1, 3))):
        # half of all near one end, where a zip file says what is where
        near = draw(st.integers(0, 99))
        start = draw(st.sampled_from([draw(st.integers(0, len(content))), near, -near - 1]))
        start = max(0, start if start >= 0 else len(content) + start)
        end = start + draw(st.sampled_from([0, 1, 1, 4, 100]))
        content = content[:start] + draw(st.binary(max_size=4)) + content[end:]
    return content[: draw(st.sampled_from([len(content)] * 5 + [start]))]


def test_whatever_happens_to_the_bytes_is_noticed(path, monkeypatch):
    monkeypatch.setattr(annotation_cache, 'print_log', lambda *args, **kwargs: None)
    expected = read_coco_annotations(path)
    entry = check_read_then_cached(path)
    identity = annotation_cache._identity(path)
    seen = Counter()

    @settings(deadline=None, max_examples=500, database=None, derandomize=True)
    @given(damaged(entry.read_bytes()))
    def run(content):
        entry.write_bytes(content)
        coco = annotation_cache._load(entry, identity)
        seen[coco is None] += 1
        if coco is not None:  # a date, say, of a member
            check_equal(coco, expected)

    run()
    assert seen[True] > 300


@st.composite
def other_arrays(draw, arrays):
    """Up to three arrays with other values, now and then of another type or shape."""
    changes = {}
    for name in draw(st.lists(st.sampled_from(sorted(arrays)), min_size=1, max_size=3)):
        types = ['>i8', '<f8', '<u1', '?', '<U2', '<M8[s]', 'i4,f8']
        shapes = [(), (0,), (1,), (4,), (13,), (22,), (12, 2)]
        dtype = draw(st.sampled_from([arrays[name].dtype] * 20 + types))
        shape = draw(st.sampled_from([arrays[name].shape] * 20 + shapes))
        changes[name] = np.full(shape, draw(st.integers(-2, 130)), 'i8').astype(dtype)
    return changes


def test_other_arrays_are_refused_or_fit_together(path, monkeypatch):
    monkeypatch.setattr(annotation_cache, 'print_log', lambda *args, **kwargs: None)
    entry = check_read_then_cached(path)
    identity = annotation_cache._identity(path)
    good = entry.read_bytes()
    with np.load(entry) as file:
        arrays = {name: file[name] for name in file.files if name != 'identity'}
    seen = Counter()

    @settings(deadline=None, max_examples=300, database=None, derandomize=True)
    @given(other_arrays(arrays))
    def run(changes):
        entry.write_bytes(good)
        write_npz(entry, **changes)
        coco = annotation_cache._load(entry, identity)
        seen[coco is None] += 1
        if coco is not None:
            assert len(list(coco.file_names)) == len(coco.heights) == len(coco.image_ids)
            coco.image_ids[coco.annotation_images], coco.category_ids[coco.annotation_categories]
            assert len(coco.annotation_areas) == len(coco.annotation_images)
            assert len(coco.category_names) == len(coco.category_ids)

    run()
    assert min(seen.values()) > 10


def test_what_cannot_be_kept_costs_one_warning(path, folder, lines):
    folder.write_text('not a folder')
    coco, entry = cached_coco_annotations(path)
    check_equal(coco, read_coco_annotations(path))
    assert entry is None
    warnings = [line for line, level in lines if level == logging.WARNING]
    assert len(warnings) == 1
    assert str(path) in warnings[0]
    assert 'MLDECODER_CACHE' in warnings[0]


def test_a_full_disk_leaves_nothing_behind(path, folder, lines, monkeypatch):
    def fail(file, **arrays):
        file.write(b'half')
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(annotation_cache.np, 'savez', fail)
    assert cached_coco_annotations(path)[1] is None
    assert entries(folder) == []
    assert 'No space left' in lines[0][0]


@pytest.mark.skipif(os.geteuid() == 0, reason='root may write anywhere')
def test_a_read_only_folder(path, folder, lines):
    folder.mkdir(mode=0o555)
    assert cached_coco_annotations(path)[1] is None
    assert len(lines) == 1


def test_off(path, folder, monkeypatch):
    monkeypatch.setenv('MLDECODER_CACHE', 'off')
    for _ in range(2):
        assert cached_coco_annotations(path)[1] is None
    assert entries(folder) == []


@pytest.mark.parametrize(
    ('environment', 'expected'),
    [
        (dict(XDG_CACHE_HOME='{0}/xdg'), '{0}/xdg/mmpretrain_mldecoder/annotations'),
        (dict(XDG_CACHE_HOME='', HOME='{0}'), '{0}/.cache/mmpretrain_mldecoder/annotations'),
        # the specification says that a relative one is to be ignored
        (dict(XDG_CACHE_HOME='xdg', HOME='{0}'), '{0}/.cache/mmpretrain_mldecoder/annotations'),
        (dict(MLDECODER_CACHE='~/mine', HOME='{0}'), '{0}/mine'),
    ],
)
def test_where_entries_are_kept(path, tmp_path, monkeypatch, environment, expected):
    monkeypatch.delenv('MLDECODER_CACHE')
    for name, value in environment.items():
        monkeypatch.setenv(name, value.format(tmp_path))
    assert check_read_then_cached(path).parent == Path(expected.format(tmp_path))


def test_without_a_home_nothing_is_kept(path, monkeypatch):
    def expanduser(self):
        raise RuntimeError('Could not determine home directory.')

    monkeypatch.delenv('MLDECODER_CACHE')
    monkeypatch.setenv('XDG_CACHE_HOME', '')
    monkeypatch.setattr(Path, 'expanduser', expanduser)
    assert cached_coco_annotations(path)[1] is None


def test_small_files_and_young_ones_are_not_kept(path, folder, monkeypatch):
    monkeypatch.setattr(annotation_cache, '_SMALLEST_BYTES', path.stat().st_size + 1)
    assert cached_coco_annotations(path)[1] is None
    monkeypatch.setattr(annotation_cache, '_SMALLEST_BYTES', 0)
    monkeypatch.setattr(annotation_cache, '_SETTLED_NANOSECONDS', 10**12)
    assert cached_coco_annotations(path)[1] is None
    assert entries(folder) == []


def test_a_file_that_changes_while_it_is_read_is_not_kept(path, folder, monkeypatch):
    def read(path):
        coco = read_coco_annotations(path)
        path.write_text(path.read_text() + ' ')
        return coco

    monkeypatch.setattr(annotation_cache, 'read_coco_annotations', read)
    assert cached_coco_annotations(path)[1] is None
    assert entries(folder) == []


@pytest.mark.parametrize('text', [None, '', '{"images"'])
def test_errors_are_those_of_the_reader_and_nothing_is_kept(path, folder, text):
    path.unlink()
    if text is not None:
        path.write_text(text)
    with pytest.raises((FileNotFoundError, ValueError)) as expected:
        read_coco_annotations(path)
    with pytest.raises(type(expected.value)) as error:
        cached_coco_annotations(path)
    assert str(error.value) == str(expected.value)
    assert entries(folder) == []


def _read_at_once(path, barrier, results):
    expected = read_coco_annotations(path)
    for _ in range(20):
        barrier.wait()
        coco, _ = cached_coco_annotations(path)
        same = coco.annotation_images.tolist() == expected.annotation_images.tolist()
        results.put(same and list(coco.file_names) == list(expected.file_names))
        barrier.wait()
        shutil.rmtree(os.environ['MLDECODER_CACHE'], ignore_errors=True)


def test_processes_that_start_at_once_do_not_disturb_each_other(path):
    context = multiprocessing.get_context('fork')
    barrier, results = context.Barrier(3), context.Queue()
    processes = [
        context.Process(target=_read_at_once, args=(path, barrier, results)) for _ in range(3)
    ]
    for process in processes:
        process.start()
    answers = [results.get(timeout=30) for _ in range(60)]
    for process in processes:
        process.join(30)
        assert process.exitcode == 0
    assert all(answers)
