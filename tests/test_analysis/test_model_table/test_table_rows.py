from pathlib import Path

import pytest
from finished_tests import rows, write_test

from mmpretrain_mldecoder.analysis.model_table.table_rows import newest_results

OPENIMAGES = 'configs/mldecoder/tresnet_m_openimages-200groups.py'


def find(folder: Path) -> tuple[dict, list[str]]:
    notes = []
    return newest_results(rows(), folder, notes.append), notes


def test_newest_counts_whatever_its_number(tmp_path):
    """Dates are compared as moments: the last one here is the earliest."""
    name = 'mldecoder_r50_coco'
    for i, (mean, date) in enumerate(
        [
            (79.0, '2026-03-01T12:00:00+00:00'),
            (78.0, '2026-03-01T13:00:00+00:00'),
            (80.0, '2026-03-01T13:30:00+02:00'),
        ]
    ):
        write_test(tmp_path / f'{i}/deep/test_{i}.json', name, {'coco/mAP': mean}, date=date)
    found, notes = find(tmp_path)
    assert found[name].metrics == {'coco/mAP': 78.0}
    assert (list(found), notes) == ([name], [])


def test_config_is_known_by_folder_and_name(tmp_path):
    for i, folder in enumerate(('/elsewhere/configs/linear', '../configs/mldecoder')):
        name = f'{Path(folder).name}_r50_coco'
        write_test(
            tmp_path / f'test_{i}.json', name, {'coco/mAP': 70.0}, config=f'{folder}/r50_coco.py'
        )
    assert sorted(find(tmp_path)[0]) == ['linear_r50_coco', 'mldecoder_r50_coco']


@pytest.mark.parametrize(
    ('changes', 'reason'),
    [
        (dict(images=7), '7 images were tested, not the full split: COCO 2017 has 5,000'),
        (dict(settings='0' * 16), 'model, preprocessing or metric are not those of the config'),
        (dict(tta=True), 'it is with test-time augmentation'),
        (dict(config='configs/mldecoder/mine.py'), 'its config is that of no row'),
        (dict(config='configs/linear/r50_coco.py'), 'are not those of the config'),
        (dict(metrics={'coco/mAP': None}), 'it has no mAP'),
        (dict(date='yesterday'), 'is not the result of a test'),
        (dict(config=OPENIMAGES), 'that of OpenImages, 9,605 classes is not known'),
    ],
)
def test_others_are_left_out_with_a_note(tmp_path, changes, reason):
    write_test(
        tmp_path / 'test_1.json', 'mldecoder_r50_coco', **dict(metrics={'coco/mAP': 99.0}) | changes
    )
    found, (note,) = find(tmp_path)
    assert found == {}
    assert str(tmp_path / 'test_1.json') in note and reason in note
