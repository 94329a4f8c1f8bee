import pytest

from mmpretrain_mldecoder.engine import find_resume_checkpoint


@pytest.mark.parametrize(
    ('files', 'pointer', 'expected'),
    [
        (['epoch_1.pth', 'epoch_2.pth'], '{}/epoch_1.pth', 'epoch_1.pth'),
        (['own_name.pth', 'epoch_2.pth'], '/moved/since/own_name.pth', 'own_name.pth'),
        (['epoch_9.pth', 'epoch_10.pth'], '{}/epoch_11.pth', 'epoch_10.pth'),
        (['iter_200.pth'], '', 'iter_200.pth'),
        (['epoch_1.pth', 'best_coco_mAP_epoch_7.pth', 'epoch_2.pth.tmp'], None, 'epoch_1.pth'),
        (['best_coco_mAP_epoch_7.pth', 'epoch_2.pth.tmp'], None, None),
    ],
)
def test_newest_whole_checkpoint(tmp_path, files, pointer, expected):
    for name in files:
        (tmp_path / name).touch()
    if pointer is not None:
        (tmp_path / 'last_checkpoint').write_text(pointer.format(tmp_path))
    found = find_resume_checkpoint(tmp_path)
    assert found == (None if expected is None else str(tmp_path / expected))


def test_no_folder(tmp_path):
    assert find_resume_checkpoint(tmp_path / 'absent') is None
