import zipfile

import pytest
import torch

from mmpretrain_mldecoder.checkpoints import find_resume_checkpoint, resume

_CHECKPOINT = dict(state_dict={'weight': torch.arange(1000.0)}, meta=dict(epoch=1))


def save(path, damage=None):
    """Write a checkpoint, and damage it as a crash or a bad disk does."""
    torch.save(_CHECKPOINT, path)
    content = bytearray(path.read_bytes())
    if damage == 'truncated':
        del content[len(content) // 2 :]
    elif damage == 'end lost':
        del content[-10:]
    elif damage == 'empty':
        content.clear()
    elif damage == 'zeros':  # a file system that grew the file, and crashed
        content[:] = bytes(len(content))
    elif damage == 'one bit':  # of a weight, which torch.load does not notice
        position = content.index(torch.arange(1000.0).numpy().tobytes())
        content[position + 400] ^= 0x40
    elif damage == 'name of a part':
        with zipfile.ZipFile(path) as archive:
            position = archive.infolist()[1].header_offset + 30
        content[position] ^= 1
    path.write_bytes(content)


@pytest.fixture
def logged(monkeypatch) -> list[str]:
    lines = []
    monkeypatch.setattr(resume, 'print_log', lambda line, logger, level: lines.append(line))
    return lines


@pytest.mark.parametrize(
    ('files', 'pointer', 'expected'),
    [
        (['epoch_1.pth', 'epoch_2.pth'], '{}/epoch_1.pth', 'epoch_1.pth'),
        (['own_name.pth', 'epoch_2.pth'], '/moved/since/own_name.pth', 'own_name.pth'),
        (['epoch_9.pth', 'epoch_10.pth'], '{}/epoch_11.pth', 'epoch_10.pth'),
        (['iter_200.pth'], '', 'iter_200.pth'),
        (['iter_90.pth', 'iter_100.pth', 'epoch_0_iter_105.pth'], None, 'epoch_0_iter_105.pth'),
        (['iter_110.pth', 'iter_100.pth', 'epoch_0_iter_105.pth'], None, 'iter_110.pth'),
        (['epoch_2.pth', 'epoch_1_iter_7.pth', 'epoch_1.pth'], None, 'epoch_2.pth'),
        (['epoch_2.pth'], '\0' * 37, 'epoch_2.pth'),
        (['epoch_1.pth', 'best_coco_mAP_epoch_7.pth', 'epoch_2.pth.tmp'], None, 'epoch_1.pth'),
        (['best_coco_mAP_epoch_7.pth', 'epoch_2.pth.tmp'], None, None),
        (['epoch_1.pth', '.epoch_2.pth.0123456789abcdef.tmp'], None, 'epoch_1.pth'),
    ],
)
def test_newest_checkpoint(tmp_path, logged, files, pointer, expected):
    for name in files:
        save(tmp_path / name)
    if pointer is not None:
        (tmp_path / 'last_checkpoint').write_text(pointer.format(tmp_path))
    found = find_resume_checkpoint(tmp_path)
    assert found == (None if expected is None else str(tmp_path / expected))
    assert logged == []


def test_garbage_in_the_place_of_the_name_and_what_is_no_file(tmp_path):
    assert find_resume_checkpoint(tmp_path / 'absent') is None
    save(tmp_path / 'epoch_1.pth')
    (tmp_path / 'epoch_2.pth').mkdir()
    (tmp_path / 'epoch_3.pth').symlink_to(tmp_path / 'gone.pth')
    for content in (bytes(range(256)), b'x' * 5000, b'a\0b', b'.', b'\xff.pth'):
        (tmp_path / 'last_checkpoint').write_bytes(content)
        assert find_resume_checkpoint(tmp_path) == str(tmp_path / 'epoch_1.pth')


@pytest.fixture
def elsewhere(tmp_path):
    """A folder that ``last_checkpoint`` of the run in ``tmp_path`` points into."""
    (tmp_path / 'elsewhere').mkdir()
    return tmp_path / 'elsewhere'


def test_checkpoints_in_a_folder_of_their_own(tmp_path, elsewhere):
    save(elsewhere / 'epoch_1.pth')
    save(elsewhere / 'epoch_2.pth', 'truncated')
    (tmp_path / 'last_checkpoint').write_text(str(elsewhere / 'epoch_2.pth'))
    assert find_resume_checkpoint(tmp_path) == str(elsewhere / 'epoch_1.pth')


def test_own_checkpoints_count_where_another_folder_has_none(tmp_path, elsewhere, logged):
    save(tmp_path / 'epoch_1.pth')
    (elsewhere / 'notes.txt').write_text('hello')
    (tmp_path / 'last_checkpoint').write_text(str(elsewhere / 'notes.txt'))
    assert find_resume_checkpoint(tmp_path) == str(tmp_path / 'epoch_1.pth')
    assert 'notes.txt is truncated, or not a checkpoint' in logged[0]


@pytest.mark.parametrize(
    'damage', ['truncated', 'end lost', 'empty', 'zeros', 'one bit', 'name of a part']
)
@pytest.mark.parametrize('is_named', [True, False])
def test_damaged_one_is_skipped(tmp_path, logged, damage, is_named):
    for number in (1, 2):
        save(tmp_path / f'epoch_{number}.pth')
    save(tmp_path / 'epoch_3.pth', damage)
    if is_named:
        save(tmp_path / 'epoch_4.pth')  # of an earlier run
        (tmp_path / 'last_checkpoint').write_text(f'{tmp_path}/epoch_3.pth')
    assert find_resume_checkpoint(tmp_path) == str(tmp_path / 'epoch_2.pth')
    skipped, instead = logged
    assert skipped.startswith(str(tmp_path / 'epoch_3.pth')) and skipped.endswith('is skipped.')
    assert instead == f'Resuming from {tmp_path / "epoch_2.pth"} instead.'


def test_a_checkpoint_of_the_same_step_takes_the_place_of_a_damaged_one(tmp_path):
    save(tmp_path / 'iter_4.pth')
    save(tmp_path / 'epoch_0_iter_4.pth', 'truncated')  # by a signal in the step of the other
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_0_iter_4.pth'))
    assert find_resume_checkpoint(tmp_path) == str(tmp_path / 'iter_4.pth')


def test_only_damaged_ones_are_an_error(tmp_path):
    for number in (1, 2):
        save(tmp_path / f'epoch_{number}.pth', 'truncated')
    with pytest.raises(ValueError, match=r'damaged: epoch_2.pth, epoch_1.pth\. Remove what is'):
        find_resume_checkpoint(tmp_path)
    for path in tmp_path.iterdir():
        path.unlink()
    assert find_resume_checkpoint(tmp_path) is None
