import pytest
from annotation_fuzz import check_many
from coco_mutations import damaged_bytes, damaged_content

pytestmark = pytest.mark.faults


@pytest.mark.parametrize('damaged', [damaged_bytes, damaged_content])
def test_a_hundred_thousand_annotation_files(tmp_path, damaged):
    check_many(damaged, tmp_path / 'ann.json', 50_000)
