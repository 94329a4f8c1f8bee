"""COCOMultiLabel: its samples, its errors, and its behaviour in the host."""

import json
import pickle
import re
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from coco_dataset import build, check_samples, infos, plain_samples
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.dataset import ClassBalancedDataset, ConcatDataset, RepeatDataset
from pycocotools.coco import COCO
from torch.utils.data import DataLoader

from mmpretrain_mldecoder.datasets import (
    COCOMultiLabel,
    CocoSamples,
    coco_multi_label,
    image_files,
)
from mmpretrain_mldecoder.datasets.dataset_arguments import read_class_file
from mmpretrain_mldecoder.datasets.label_files import Answers, read_labels

ANN_FILE = 'annotations/instances_train2017.json'


@pytest.mark.parametrize('split', ['train', 'val'])
@pytest.mark.parametrize('options', [{}, dict(min_box_area=400.0), dict(with_crowd=False)])
def test_samples_are_those_of_a_plain_loop(fake_coco, split, options):
    samples = infos(build(fake_coco, split, **options))
    check_samples(samples, plain_samples(fake_coco, split, **options))


@settings(max_examples=60, deadline=None)
@given(
    ids=st.lists(st.integers(-(2**40), 2**40), min_size=1, max_size=6, unique=True),
    category_ids=st.lists(st.integers(0, 300), min_size=1, max_size=5, unique=True),
    boxes=st.lists(  # if all areas were the same, they would say nothing
        st.tuples(st.integers(0), st.integers(0), st.floats(1e3, 1e6)),
        unique_by=lambda box: box[2],
        max_size=30,
    ),
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
                image_id=ids[i % len(ids)],
                category_id=category_ids[c % len(category_ids)],
                area=area,
            )
            for i, c, area in boxes
        ]
        categories = [dict(id=id_, name=f'class {id_}') for id_ in category_ids]
        content = dict(images=images, annotations=annotations, categories=categories)
        (root / ANN_FILE).write_text(json.dumps(content))
        expected = plain_samples(root, 'train')
        dataset = build(root)
        check_samples(infos(dataset), expected)

        indices = chosen.draw(st.lists(st.integers(-len(ids), len(ids) - 1), max_size=8))
        check_samples(infos(dataset.get_subset(indices)), [expected[i] for i in indices])
        labelled = [sample for sample in expected if len(sample['gt_label'])]
        if labelled:
            check_samples(infos(build(root, keep_unlabelled=False)), labelled)


def test_labels_are_by_category_id_or_in_the_order_of_classes(fake_coco):
    names = ['dog', 'bee']
    all_classes, subset = build(fake_coco), build(fake_coco, classes=names)
    assert all_classes.CLASSES == ('ant', 'bee', 'cat', 'dog')  # in the file in reverse order
    assert subset.CLASSES == ('dog', 'bee')
    for full, part in zip(infos(all_classes), infos(subset), strict=True):
        labels = {all_classes.CLASSES[label] for label in full['gt_label']}
        assert part['gt_label'].tolist() == [i for i, name in enumerate(names) if name in labels]


def test_images_that_lose_all_boxes_to_classes_are_unlabelled(fake_coco):
    with_bee = [info['img_id'] for info in infos(build(fake_coco)) if 1 in info['gt_label']]
    assert 0 < len(with_bee) < 11
    bees = build(fake_coco, classes=['bee'], keep_unlabelled=False)
    assert [info['img_id'] for info in infos(bees)] == with_bee


@pytest.mark.parametrize(
    ('options', 'parts'),
    [
        ({}, ['12 images, 4 classes', '1 image without labels kept', '2 crowd boxes kept']),
        (dict(keep_unlabelled=False), ['11 images', '1 image without labels dropped']),
        # the crowds are the only two boxes of their image
        (dict(with_crowd=False), ['2 images without labels kept', '2 crowd boxes dropped']),
        (dict(min_box_area=1e6), [' 0 labels from 0 boxes', '22 boxes below min_box_area=1e+06']),
    ],
)
def test_loading_logs_one_line(fake_coco, monkeypatch, options, parts):
    lines = []
    monkeypatch.setattr(coco_multi_label, 'print_log', lambda line, logger: lines.append(line))
    build(fake_coco, **options)
    assert len(lines) == 1
    assert all(part in lines[0] for part in parts), lines[0]


def test_coco_is_read_on_demand_in_silence_and_once(fake_coco, capsys, monkeypatch):
    path = fake_coco / ANN_FILE
    path.write_text(path.read_text(), encoding='utf-8-sig')
    dataset = build(fake_coco)
    capsys.readouterr()
    coco = dataset.coco
    assert isinstance(coco, COCO)
    assert capsys.readouterr().out == ''
    assert dataset.coco is coco
    assert coco.getImgIds() == [info['img_id'] for info in infos(dataset)]
    monkeypatch.setitem(sys.modules, 'pycocotools.coco', None)  # nothing else needs it
    with pytest.raises(ImportError, match='pip install pycocotools'):
        build(fake_coco).coco  # noqa: B018


def test_workers_see_the_samples(fake_coco):
    dataset = pickle.loads(pickle.dumps(build(fake_coco)))  # as for workers that are spawned
    loader = DataLoader(dataset, num_workers=1, collate_fn=list)
    check_samples([batch[0] for batch in loader], plain_samples(fake_coco))


@pytest.mark.parametrize('indices', [5, -3, 0, [2, 0, -1, 2], []])
def test_subsets_of_the_host(fake_coco, indices):
    expected = plain_samples(fake_coco)
    if isinstance(indices, int):
        wanted = expected[:indices] if indices >= 0 else expected[indices:]
    else:
        wanted = [expected[i] for i in indices]
    whole = build(fake_coco)
    subset = whole.get_subset(indices)
    check_samples(infos(subset), wanted)
    check_samples(infos(whole), expected)
    whole.get_subset_(indices)
    check_samples(infos(whole), wanted)
    check_samples(infos(build(fake_coco, indices=indices, serialize_data=False)), wanted)
    assert [info['sample_idx'] for info in infos(whole)] == list(range(len(wanted)))
    with pytest.raises(TypeError, match='indices'):
        whole.get_subset(0.5)


def test_wrappers_of_the_host(fake_coco):
    expected = plain_samples(fake_coco) + plain_samples(fake_coco, 'val')
    both = ConcatDataset([build(fake_coco), build(fake_coco, 'val')])
    check_samples(infos(both), expected)
    check_samples(infos(RepeatDataset(build(fake_coco), 2)), expected[:12] * 2)
    assert [both.datasets[0].get_cat_ids(i) for i in (0, 1)] == [[], [1]]
    balanced = ClassBalancedDataset(build(fake_coco), oversample_thr=0.9)
    assert len(balanced) > 12
    by_path = {sample['img_path']: sample for sample in expected}
    check_samples(infos(balanced), [by_path[info['img_path']] for info in infos(balanced)])


@pytest.mark.parametrize('serialize_data', [True, False])
def test_a_subclass_may_filter_and_change_the_dicts(fake_coco, serialize_data):
    class Tall(COCOMultiLabel):
        def filter_data(self):
            least = self.filter_cfg['height']
            return [dict(info, source=1) for info in self.data_list if info['height'] >= least]

    expected = [dict(sample, source=1) for sample in plain_samples(fake_coco)]
    expected = [sample for sample in expected if sample['height'] >= 52]
    assert 0 < len(expected) < 12
    options = dict(data_root=str(fake_coco), data_prefix='train2017', filter_cfg=dict(height=52))
    dataset = Tall(ANN_FILE, serialize_data=serialize_data, **options)
    check_samples(infos(dataset), expected)
    check_samples(infos(dataset.get_subset([0, -1])), [expected[0], expected[-1]])
    # a list is what the host serializes for its workers
    assert dataset.serialize_data is serialize_data
    assert len(dataset.data_list) == (0 if serialize_data else len(expected))


def test_a_filter_may_keep_the_arrays(fake_coco):
    class Every2nd(COCOMultiLabel):
        def filter_data(self):
            return self.data_list[::2]

    dataset = Every2nd(ANN_FILE, data_root=str(fake_coco), data_prefix='train2017')
    assert isinstance(dataset.data_list, CocoSamples)
    check_samples(infos(dataset), plain_samples(fake_coco)[::2])


def edit(root, change):
    """Change the content of the training annotations."""
    content = json.loads((root / ANN_FILE).read_text())
    change(content)
    (root / ANN_FILE).write_text(json.dumps(content))


def test_arguments_of_mmdetection_are_those_of_here(fake_coco):
    labelled = [sample for sample in plain_samples(fake_coco) if len(sample['gt_label'])]
    options = dict(filter_cfg=dict(filter_empty_gt=True, min_size=52), backend_args=None)
    dataset = build(fake_coco, **options, test_mode=True, max_refetch=3)
    large = [sample for sample in labelled if min(sample['height'], sample['width']) >= 52]
    check_samples(infos(dataset), large)
    assert 0 < len(large) < len(labelled)
    second = str(fake_coco / 'train2017' / f'{1:012d}.jpg')
    for key in ('img', 'img_path'):
        dataset = COCOMultiLabel(ANN_FILE, str(fake_coco), {key: 'train2017/'})
        assert dataset.get_data_info(1)['img_path'] == second
    names = ('dog', 'bee')
    expected = infos(build(fake_coco, classes=names))
    for metainfo in (dict(CLASSES=names), dict(classes=[*names], PALETTE=[(1, 2, 3)])):
        dataset = build(fake_coco, metainfo=metainfo)
        for info, wanted in zip(infos(dataset), expected, strict=True):
            assert info['gt_label'].tolist() == wanted['gt_label'].tolist()
        assert dataset.metainfo['classes'] == names
    assert dataset.metainfo['PALETTE'] == [(1, 2, 3)]
    unset = COCOMultiLabel(str(fake_coco / ANN_FILE), None, None, lazy_init=True)
    assert (unset.data_root, unset.img_prefix) == ('', '')


def test_sizes_and_areas_may_be_absent(fake_coco):
    def remove(content):
        content['images'][4].update(height=None)
        del content['annotations'][3]['area'], content['annotations'][3]['bbox']

    expected = plain_samples(fake_coco)
    edit(fake_coco, remove)
    dataset = build(fake_coco)
    samples = infos(dataset)
    assert ['height' in sample for sample in samples].count(False) == 1
    assert sum(np.isnan(sample['instance_areas']).sum() for sample in samples) == 1
    for sample, one in zip(samples, expected, strict=True):
        assert sample['gt_label'].tolist() == one['gt_label'].tolist()


def test_difficult_boxes_make_no_label(fake_coco):
    """A class is unknown where all boxes of it are doubtful, by a loop over them."""
    rng = np.random.default_rng(0)
    flags = ['ignore', 'difficult', 'is_difficult']

    def doubt(content):
        for box in content['annotations']:
            if rng.random() < 0.5:
                box[rng.choice(flags)] = 1

    edit(fake_coco, doubt)
    content = json.loads((fake_coco / ANN_FILE).read_text())
    ids = sorted(category['id'] for category in content['categories'])
    dataset = build(fake_coco)
    for info in infos(dataset):
        certain, doubtful = [], set()
        for box in content['annotations']:
            if box['image_id'] == info['img_id']:
                label = ids.index(box['category_id'])
                (doubtful.add if any(map(box.get, flags)) else certain.append)(label)
        assert info['gt_label'].tolist() == sorted(set(certain))
        assert info['instance_labels'].tolist() == certain
        assert info['gt_label_difficult'].tolist() == sorted(doubtful)
        score = [1 if i in certain else -1 if i in doubtful else 0 for i in range(4)]
        assert info['gt_score'].tolist() == score
    assert 'gt_label_difficult' not in build(fake_coco, 'val').get_data_info(1)


def test_files_that_are_listed_twice_are_told(fake_coco, monkeypatch):
    lines = []
    monkeypatch.setattr(coco_multi_label, 'print_log', lambda line, *_, **__: lines.append(line))

    def repeat(content):
        images = content['images']
        images += [dict(images[5], id=900), dict(images[0], id=901), dict(images[0], id=902)]

    edit(fake_coco, repeat)
    assert len(build(fake_coco)) == 15
    assert '2 files have several image ids, first: 000000000000.jpg' in lines[1]
    build(fake_coco, keep_unlabelled=False)  # leaves one of each
    assert len(lines) == 3


def test_labels_that_are_known_in_part_only_are_told(fake_coco, monkeypatch):
    """LVIS."""
    lines = []
    monkeypatch.setattr(coco_multi_label, 'print_log', lambda line, *_, **__: lines.append(line))
    edit(fake_coco, lambda content: content['images'][3].update(neg_category_ids=[1]))
    build(fake_coco)
    assert 'neg_category_ids' in lines[1]
    (path,) = (fake_coco / 'annotations').glob('*train*')
    notes = read_labels(fake_coco, Answers(labels=f'annotations/{path.name}')).notes
    assert any('neg_category_ids' in note for note in notes)


@pytest.mark.parametrize(
    ('written', 'on_disk'),
    [
        ('sub\\{}.jpg', 'sub/{}.jpg'),
        ('a%20{}.jpg', 'a {}.jpg'),
        ('sub%2FK%C3%BCche%20{}.jpg', 'sub/K\u00fcche {}.jpg'),
        ('sub\\a%25{}.jpg', 'sub/a%{}.jpg'),
        ('%{}%20.jpg', '%{}%20.jpg'),  # as written, where that file is there
    ],
)
def test_backslashes_and_percent_codes_in_file_names(fake_coco, monkeypatch, written, on_disk):
    lines = []
    monkeypatch.setattr(image_files, 'print_log', lambda line, *args: lines.append(line))
    folder = fake_coco / 'train2017'
    (folder / 'sub').mkdir()

    def rename(content):
        for i, image in enumerate(content['images']):
            (folder / image['file_name']).rename(folder / on_disk.format(i))
            image['file_name'] = written.format(i)

    edit(fake_coco, rename)
    paths = [info['img_path'] for info in infos(build(fake_coco))]
    assert paths == [str(folder / on_disk.format(i)) for i in range(12)]
    assert len(lines) == (written != on_disk)
    assert all('12 file names with' in line for line in lines)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(classes=['bee', 'Catt']), r"has no category 'Catt'; near: cat\..* are: ant, bee"),
        (dict(classes=['xylophone']), r"has no category 'xylophone'\. Correct"),
        (dict(classes=['BEE ']), r'near: bee \(differs in upper and lower case and blanks\)'),
        (dict(min_box_area=-1), r'min_box_area must be at least 0, got -1'),
    ],
)
def test_errors_of_the_arguments(fake_coco, options, message):
    with pytest.raises(ValueError, match=message):
        build(fake_coco, **options)


def test_a_class_that_a_file_lacks_can_be_added_as_the_error_says(fake_coco):
    with pytest.raises(ValueError, match='add it to the categories') as error:
        build(fake_coco, classes=['bee', 'zebra'])
    record = json.loads(re.search(r'\{.*?\}', str(error.value))[0])
    edit(fake_coco, lambda content: content['categories'].append(record))
    assert build(fake_coco, classes=['bee', 'zebra']).CLASSES == ('bee', 'zebra')


def test_missing_images_are_counted_and_shown_with_the_one_that_may_be_meant(fake_coco):
    for i in (4, 2, 0):
        (fake_coco / 'train2017' / f'{i:012d}.jpg').unlink()
    (fake_coco / 'train2017' / 'K\u00fcche.JPG').touch()
    message = r'2 of 11 images of .*train2017\.json are not in .*train2017, first: '
    with pytest.raises(FileNotFoundError, match=message + r'000000000002\.jpg\. '):
        build(fake_coco, keep_unlabelled=False)  # the first image is no sample
    edit(fake_coco, lambda content: content['images'][2].update(file_name='Ku\u0308che.jpg'))
    near = r'.*; near: K\u00fcche.JPG \(differs in Unicode form .* and upper and lower case\)'
    with pytest.raises(FileNotFoundError, match=message + near):
        build(fake_coco, keep_unlabelled=False)


def test_without_root_and_prefix_the_working_directory_is_searched(fake_coco, monkeypatch):
    monkeypatch.chdir(fake_coco / 'val2017')
    dataset = COCOMultiLabel('../annotations/instances_val2017.json')
    assert dataset.get_data_info(0)['img_path'] == f'{0:012d}.jpg'


def test_after_a_missing_folder_the_start_can_be_tried_again(fake_coco):
    dataset = build(fake_coco, lazy_init=True)
    assert dataset.CLASSES is None
    (fake_coco / 'train2017').rename(fake_coco / 'elsewhere')
    with pytest.raises(FileNotFoundError, match=r'train2017 is not a folder.*`data_prefix`.*coco'):
        dataset.full_init()
    assert dataset.serialize_data
    (fake_coco / 'elsewhere').rename(fake_coco / 'train2017')
    check_samples(infos(dataset), plain_samples(fake_coco))


@pytest.mark.parametrize('name', ['\x1b[2J.jpg', 'a\0b.jpg', 'a\nb.jpg', 'gpj.\u202eexe'])
def test_names_in_errors_move_no_cursor(fake_coco, name):
    def rename(content):
        content['images'][1]['file_name'] = content['categories'][0]['name'] = name

    edit(fake_coco, rename)
    for options in (dict(), dict(classes=['xylophone']), dict(classes=[name[:-1] + '_'])):
        with pytest.raises((FileNotFoundError, ValueError)) as caught:
            build(fake_coco, **options)
        assert str(caught.value).isprintable()


@pytest.mark.parametrize('form', ['{}', '\ufeff{}\n', '{}\n\n\n'])
def test_names_of_a_class_file(tmp_path, form):
    names = ('K\u00e4tzchen \U0001f431', 'a\x85b\u2028c', ' cat ')
    path = tmp_path / 'names.txt'
    path.write_bytes(form.format('\n'.join(names)).encode())
    assert read_class_file(path) == names
    path.write_bytes(b'cat\r\nsea lion\r\n')
    assert read_class_file(str(path)) == ('cat', 'sea lion')
    with pytest.raises(FileNotFoundError, match=f'{tmp_path} is not a file'):
        read_class_file(tmp_path)
