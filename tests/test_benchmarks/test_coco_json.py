import pytest
from coco_json import ANNOTATIONS, CATEGORY_IDS, IMAGES, UNLABELLED, write_instances
from pycocotools.coco import COCO


def test_the_random_file_is_like_cocos(tmp_path):
    path = tmp_path / 'instances.json'
    write_instances(path, images=1200, annotations=9000)
    coco = COCO(str(path))
    assert (len(coco.imgs), len(coco.anns), len(coco.cats)) == (1200, 9000, 80)
    assert sorted(coco.cats) == CATEGORY_IDS
    assert {box['category_id'] for box in coco.anns.values()} <= set(CATEGORY_IDS)
    unlabelled = sum(not coco.getAnnIds([image]) for image in coco.imgs)
    assert unlabelled == 1200 * UNLABELLED // IMAGES
    assert len(coco.getAnnIds(iscrowd=True)) == 90
    # in all 490 MB, of which an image takes about 340 bytes
    expected = 490e6 * 9000 / ANNOTATIONS + 340 * (1200 - IMAGES * 9000 / ANNOTATIONS)
    assert path.stat().st_size == pytest.approx(expected, rel=0.1)
