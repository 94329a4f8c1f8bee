from mmpretrain_mldecoder.fileio.groups import equal_files, equal_groups, joined_groups


def test_equal_keys_and_nothing():
    keys = [b'a', None, b'b', b'a', None, b'c', b'b', b'a']
    assert equal_groups(keys) == [[0, 3, 7], [2, 6]]
    assert equal_groups([]) == []


def test_files_with_the_same_bytes(tmp_path):
    contents = (b'one', b'two', b'one', b'', b'', b'other')
    for i, content in enumerate(contents):
        (tmp_path / f'{i}').write_bytes(content)
    assert equal_files([tmp_path / name for name in ('0', '1', '2', '3', '4', '5', 'none')]) == [
        [0, 2]
    ]


def test_pairs_join_groups():
    assert joined_groups(7, [(5, 3), (6, 5), (0, 1), (1, 1)]) == [0, 0, 2, 3, 4, 3, 3]
    assert joined_groups(0, []) == []
