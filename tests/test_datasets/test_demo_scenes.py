from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.mask import decode, frPyObjects, merge

from mmpretrain_mldecoder.datasets import demo_drawing, demo_scenes
from mmpretrain_mldecoder.datasets.demo_drawing import CATEGORIES, draw_scene
from mmpretrain_mldecoder.datasets.demo_scenes import make_demo_dataset

NUM_TRAIN, NUM_VAL, SIZE = 60, 20, 96


@pytest.fixture(scope='module')
def demo(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp('data') / 'demo'
    assert make_demo_dataset(out, NUM_TRAIN, NUM_VAL, SIZE)
    return out


def files(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob('*') if p.is_file()}


@pytest.fixture(params=['train', 'val'])
def split(request, demo) -> tuple[COCO, Path]:
    coco = COCO(demo / 'annotations' / f'instances_{request.param}2017.json')
    return coco, demo / f'{request.param}2017'


def test_images_and_categories(split):
    coco, folder = split
    assert len(coco.imgs) == (NUM_TRAIN if folder.name == 'train2017' else NUM_VAL)
    assert {p.name for p in folder.iterdir()} == {i['file_name'] for i in coco.imgs.values()}
    for image in coco.imgs.values():
        pixels = cv2.imread(str(folder / image['file_name']))
        assert pixels.shape == (image['height'], image['width'], 3) == (SIZE, SIZE, 3)
        assert pixels.std() > 5
    assert len({c['name'] for c in coco.cats.values()}) == 12
    ids = list(coco.cats)
    assert ids == sorted(ids) and ids[-1] - ids[0] > 11  # with gaps


def test_annotations(split):
    coco, _ = split
    assert {a['image_id'] for a in coco.anns.values()} <= set(coco.imgs)
    for annotation in coco.anns.values():
        x, y, width, height = annotation['bbox']
        corners = np.reshape(annotation['segmentation'][0], (-1, 2))
        # coordinates are rounded to 0.01
        np.testing.assert_allclose([x, y], corners.min(0), atol=1e-6)
        np.testing.assert_allclose([x + width, y + height], corners.max(0), atol=1e-6)
        assert 0 <= x < x + width <= SIZE
        assert 0 <= y < y + height <= SIZE
        assert annotation['iscrowd'] == 0
        assert 0 < annotation['area'] <= width * height


def test_areas_match_masks(split):
    coco, _ = split
    relative = []
    for annotation in coco.anns.values():
        corners = np.reshape(annotation['segmentation'][0], (-1, 2))
        perimeter = np.linalg.norm(corners - np.roll(corners, 1, axis=0), axis=1).sum()
        difference = coco.annToMask(annotation).sum() - annotation['area']
        # A mask of whole pixels is off by less than half a pixel all along the outline ...
        assert abs(difference) < 0.5 * perimeter
        relative.append(difference / annotation['area'])
    # ... and by nothing on average.
    assert abs(np.mean(relative)) < 0.01


@pytest.mark.parametrize('category', CATEGORIES, ids=lambda c: c.name)
def test_polygons_lie_on_the_drawn_objects(category, monkeypatch):
    magenta = (255, 0, 255)
    monkeypatch.setattr(demo_drawing, 'CATEGORIES', (category,))
    monkeypatch.setattr(demo_drawing, '_object_colour', lambda rng, hue: magenta)
    scenes = [draw_scene(np.random.default_rng(seed), SIZE) for seed in range(10)]

    def overlap(shift) -> float:
        """Intersection over union of the magenta pixels and the shifted polygons, on average."""
        ratios = []
        for image, objects in scenes:
            if objects:
                outlines = [(corners + shift).ravel().tolist() for _, corners in objects]
                annotated = decode(merge(frPyObjects(outlines, SIZE, SIZE))).astype(bool)
                drawn = np.abs(image.astype(int) - magenta).max(axis=2) < 60
                ratios.append((drawn & annotated).sum() / (drawn | annotated).sum())
        return np.mean(ratios)

    # The rest is soft edges and lines across: most of the shape, and no better one pixel beside.
    assert overlap((0, 0)) > 0.85
    for shift in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        assert overlap(shift) < overlap((0, 0))


def test_all_categories_and_most_images_have_objects():
    scenes = [draw_scene(np.random.default_rng([1, i]), 48)[1] for i in range(400)]
    names = [c.name for objects in scenes for c, _ in objects]
    counts = [names.count(c.name) for c in CATEGORIES]
    # uniform over 12 categories
    assert min(counts) > 0.6 * np.mean(counts)
    assert max(len(objects) for objects in scenes) == 6
    # 1 in 100 on average: 4 of 400 give or take 3 standard deviations
    assert sum(not objects for objects in scenes) <= 10


def test_objects_stay_in_sight():
    for seed in range(60):
        _, objects = draw_scene(np.random.default_rng(seed), SIZE)
        owner = np.full((SIZE, SIZE), -1, np.int16)
        masks = []
        for i, (_, corners) in enumerate(objects):
            mask = np.zeros((SIZE, SIZE), np.uint8)
            cv2.fillPoly(mask, [np.round((corners - 0.5) * 16).astype(np.int32)], 1, shift=4)
            owner[mask > 0] = i
            masks.append(mask)
        for i, mask in enumerate(masks):
            assert (owner == i).sum() >= 0.75 * mask.sum()


def test_files_follow_from_the_seed(demo, tmp_path):
    make_demo_dataset(tmp_path / 'again', NUM_TRAIN, NUM_VAL, SIZE)
    made = files(demo)
    assert files(tmp_path / 'again') == made
    (tmp_path / 'other').mkdir()  # an empty folder is filled
    make_demo_dataset(tmp_path / 'other', NUM_TRAIN, NUM_VAL, SIZE, seed=1)
    other = files(tmp_path / 'other')
    assert made.keys() == other.keys()
    assert not any(made[name] == other[name] for name in made)
    # and validation differs from training
    for name in ('000000000001.jpg', '000000000002.jpg'):
        assert made[f'train2017/{name}'] != made[f'val2017/{name}']


def test_complete_folder_is_reused_for_the_same_parameters(tmp_path):
    out = tmp_path / 'deep' / 'demo'
    requested = dict(num_train=2, num_val=1, size=32, seed=0)
    assert make_demo_dataset(out, **requested)
    before = {p: p.stat().st_mtime_ns for p in out.rglob('*')}
    assert not make_demo_dataset(out, **requested)
    for other in (dict(num_train=3), dict(num_val=2), dict(size=40), dict(seed=1)):
        with pytest.raises(FileExistsError, match=r'is not the demo dataset .*Choose another'):
            make_demo_dataset(out, **requested | other)
    assert before == {p: p.stat().st_mtime_ns for p in out.rglob('*')}


def test_incomplete_or_damaged_folder_is_refused(tmp_path):
    out = tmp_path / 'demo'
    make_demo_dataset(out, 2, 1, 32)
    for split in ('train2017', 'val2017'):
        path = out / 'annotations' / f'instances_{split}.json'
        good = path.read_bytes()
        for content in (b'', b'{"info": ', b'[]', b'{"info": 1}', b'[' * 100_000, b'\xff\xfe{\x00'):
            path.write_bytes(content)
            with pytest.raises(FileExistsError, match=f'{path} .*Choose another folder'):
                make_demo_dataset(out, 2, 1, 32)
        path.write_bytes(good)
    (out / 'train2017' / '000000000002.jpg').unlink()
    with pytest.raises(FileExistsError, match=r'train2017/000000000002\.jpg is missing'):
        make_demo_dataset(out, 2, 1, 32)


def test_foreign_folder_and_file_are_refused(tmp_path, fake_coco):
    before = files(fake_coco)
    with pytest.raises(FileExistsError, match=str(fake_coco)):
        make_demo_dataset(fake_coco, 2, 1, 32)
    assert files(fake_coco) == before
    (tmp_path / 'file').write_text('mine')
    with pytest.raises(FileExistsError, match='exists'):
        make_demo_dataset(tmp_path / 'file', 2, 1, 32)


def test_interrupted_run_leaves_nothing(tmp_path, monkeypatch):
    calls = []

    def interrupted(rng, size):
        calls.append(size)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return draw_scene(rng, size)

    monkeypatch.setattr(demo_scenes, 'draw_scene', interrupted)
    with pytest.raises(KeyboardInterrupt):
        make_demo_dataset(tmp_path / 'demo', 3, 3, 32)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ('name', 'value', 'low'),
    [('num_train', 0, 1), ('num_val', 0, 1), ('size', 31, 32), ('seed', -1, 0)],
)
def test_range_errors(tmp_path, name, value, low):
    with pytest.raises(ValueError, match=f'{name} must be at least {low}, but got {value}'):
        make_demo_dataset(tmp_path / 'demo', **{name: value})
    assert list(tmp_path.iterdir()) == []
