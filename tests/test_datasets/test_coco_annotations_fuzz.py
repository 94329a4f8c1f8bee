import pytest
from annotation_fuzz import check_many
from coco_mutations import damaged_bytes, damaged_content


@pytest.mark.parametrize('damaged', [damaged_bytes, damaged_content])
def test_equals_pycocotools_or_refuses_with_the_place(tmp_path, damaged):
    check_many(damaged, tmp_path / 'ann.json', 1250, derandomize=True)
