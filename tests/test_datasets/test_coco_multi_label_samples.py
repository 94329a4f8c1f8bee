"""The samples of COCOMultiLabel are those of a plain loop, wherever they come from."""

import json
import tempfile
from pathlib import Path

import pytest
from coco_dataset import build, check_samples, infos, plain_samples
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader


@pytest.mark.parametrize('split', ['train', 'val'])
def test_samples_are_those_of_a_plain_loop_on_real_annotations(shared_data, split):
    root = shared_data / 'coco_tiny'
    check_samples(infos(build(root, split)), plain_samples(root, split))


@settings(max_examples=60, deadline=None)
@given(
    ids=st.lists(st.integers(-(2**40), 2**40), min_size=1, max_size=6, unique=True),
    category_ids=st.lists(st.integers(0, 300), min_size=1, max_size=5, unique=True),
    boxes=st.lists(st.tuples(st.integers(0), st.integers(0), st.floats(0, 1e6)), max_size=30),
    chosen=st.data(),
)
def test_samples_are_those_of_a_plain_loop_on_random_files(ids, category_ids, boxes, chosen):
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / 'annotations').mkdir()
        (root / 'train2017' / 'sub').mkdir(parents=True)
        images = []
        for i, id_ in enumerate(ids):
            name = 'sub/' * (i % 2) + f'é{i}.jpg'
            (root / 'train2017' / name).touch()
            images.append(dict(id=id_, file_name=name, height=i + 1, width=2 * i + 1))
        annotations = [
            dict(
                image_id=ids[image % len(ids)],
                category_id=category_ids[category % len(category_ids)],
                area=area,
            )
            for image, category, area in boxes
        ]
        categories = [dict(id=id_, name=f'class {id_}') for id_ in category_ids]
        (root / 'annotations' / 'instances_train2017.json').write_text(
            json.dumps(dict(images=images, annotations=annotations, categories=categories))
        )
        expected = plain_samples(root, 'train')
        dataset = build(root)
        check_samples(infos(dataset), expected)

        indices = chosen.draw(st.lists(st.integers(-len(ids), len(ids) - 1), max_size=8))
        check_samples(infos(dataset.get_subset(indices)), [expected[i] for i in indices])
        labelled = [sample for sample in expected if len(sample['gt_label'])]
        if labelled:
            check_samples(infos(build(root, keep_unlabelled=False)), labelled)


def test_a_data_info_may_be_changed(fake_coco):
    dataset = build(fake_coco)
    info = dataset.get_data_info(1)
    info['img_path'] = ''
    info['gt_label'] += 1
    info['instance_areas'][:] = 0
    check_samples(infos(dataset), plain_samples(fake_coco, 'train'))
    assert dataset.get_data_info(-1)['sample_idx'] == 11


@pytest.mark.parametrize('method', ['fork', 'spawn'])
def test_workers_see_the_samples(fake_coco, method):
    loader = DataLoader(
        build(fake_coco), num_workers=1, multiprocessing_context=method, collate_fn=list
    )
    check_samples([batch[0] for batch in loader], plain_samples(fake_coco, 'train'))
