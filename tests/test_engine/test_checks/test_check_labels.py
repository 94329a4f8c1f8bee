"""What a start says about labels that make no sense, or do not mean what they seem to."""

import json
import logging
import re

import numpy as np
import pytest
import torch
from classifiers import classifier_of
from coco_dataset import build, images_per_label
from mmengine.dataset import ConcatDataset, RepeatDataset
from mmpretrain.datasets import VOC, MultiLabelDataset

from mmpretrain_mldecoder.engine.checks.labels import check_labels
from mmpretrain_mldecoder.engine.checks.start import check_classes
from mmpretrain_mldecoder.errors import ConfigError

KEY = 'train_dataloader.dataset'


@pytest.fixture
def warned(caplog):
    """Return what is said about a dataset."""

    def check(dataset, head='MLDecoderHead', key=KEY, **more):
        caplog.clear()
        model = classifier_of(dict(type='LeNet5'), 20, 8, head, **more)
        check_labels(model, {key: dataset}, logging.getLogger('check_labels'))
        return ' '.join(r.getMessage() for r in caplog.records if r.name == 'check_labels')

    return check


@pytest.fixture
def voc(tmp_path):
    """Build the host's VOC of one image: a cat, a difficult cat and a difficult dog."""
    for folder in ('Annotations', 'ImageSets/Main', 'JPEGImages'):
        (tmp_path / folder).mkdir(parents=True)
    objects = ''.join(
        f'<object><name>{name}</name><difficult>{difficult}</difficult></object>'
        for name, difficult in (('cat', 0), ('cat', 1), ('dog', 1))
    )
    (tmp_path / 'Annotations/1.xml').write_text(f'<annotation>{objects}</annotation>')
    (tmp_path / 'ImageSets/Main/trainval.txt').write_text('1')

    def build_voc(pack='PackMultiLabelInputs', **options):
        return VOC(str(tmp_path), pipeline=[dict(type=pack, **options)])

    return build_voc


@pytest.mark.parametrize('key', [KEY, 'val_dataloader.dataset'])
def test_doubtful_labels_that_are_dropped(warned, voc, key):
    said = warned(voc('PackInputs'), key=key)
    assert 'difficult count as absent, as PackInputs drops gt_label_difficult' in said
    kept = voc('PackInputs', meta_keys=('gt_label_difficult',))
    for fixed in (voc(), voc(difficult='negative'), kept):
        assert 'difficult' not in warned(fixed, key=key)
    sample = voc()[0]['data_samples']
    assert (sample.gt_label.tolist(), sample.gt_label_difficult.tolist()) == ([7], [11])


def test_doubtful_labels_in_the_loss_of_other_heads(warned, voc):
    linear, entropy = 'MultiLabelLinearClsHead', dict(type='CrossEntropyLoss', use_sigmoid=True)
    assert re.search(f'absent in the loss of {linear}.*num_classes=20', warned(voc(), linear))
    message = 'CrossEntropyLoss does not leave out unknown .*Detached'
    with pytest.raises(ConfigError, match=message):
        warned(voc(num_classes=20), linear, loss=entropy)
    assert 'difficult' not in warned(voc(difficult='negative'), linear, loss=entropy)
    detached = dict(type='DetachedAsymmetricLoss')
    assert 'difficult' not in warned(voc(num_classes=20), linear, loss=detached)
    assert 'difficult' not in warned(voc(), linear, key='val_dataloader.dataset')


def test_unlisted_labels_need_a_loss_that_learns_from_them(warned, voc):
    unlisted = voc(num_classes=20, absent='unknown')
    for head in ('MLDecoderHead', 'MultiLabelLinearClsHead'):
        for loss in (dict(type='DetachedAsymmetricLoss'), dict(type='TIMMLoss', loss_type='zlpr')):
            with pytest.raises(ConfigError, match='learns nothing from unknown labels'):
                warned(unlisted, head, loss=loss)
        said = warned(unlisted, head, loss=dict(type='HillLoss'))
        assert '19 of 20 classes have no image, the model learns nothing of them' in said
        assert warned(unlisted, head, key='val_dataloader.dataset') == ''


def test_classes_without_an_image(warned, fake_coco):
    whole = build(fake_coco)
    assert warned(whole) == ''
    part = build(fake_coco, indices=3)
    absent = np.flatnonzero(images_per_label(part) == 0)
    names = ', '.join(whole.CLASSES[c] for c in absent)
    assert 0 < len(absent) < 4
    assert f'{len(absent)} of 4 classes have no image' in warned(part)
    assert warned(part).endswith(names)
    assert warned(RepeatDataset(part, 2)).endswith(names)
    assert warned(ConcatDataset([part, build(fake_coco, 'val')])) == ''
    assert warned(part, key='val_dataloader.dataset') == ''


def test_classes_of_known_positives_only(warned, fake_coco):
    """Of a class, or of all, the images without it are unknown."""
    path = fake_coco / 'annotations/instances_train2017.json'
    content = json.loads(path.read_text())
    annotations = content['annotations']
    shown = {(each['image_id'], each['category_id']) for each in annotations}
    for category in content['categories']:
        annotations += [
            dict(id=10**6 + len(annotations), image_id=image['id'], category_id=category['id'])
            | dict(bbox=[0, 0, 9, 9], area=81, ignore=1)
            for image in content['images']
            if (image['id'], category['id']) not in shown
        ]
        path.write_text(json.dumps(content))
        dataset = build(fake_coco)
        if category is content['categories'][-1]:
            with pytest.raises(ConfigError, match='4 of 4 classes have no image that is known to'):
                warned(dataset)
        else:
            said = warned(dataset)
            assert 'classes have no image that is known to lack them' in said
            assert category['name'] in said.rpartition(': ')[2]
            assert said == warned(ConcatDataset([dataset, dataset]))
        assert warned(dataset, loss=dict(type='HillLoss')) == ''
        assert warned(dataset, key='val_dataloader.dataset') == ''


def test_a_split_that_lacks_a_class_and_what_the_errors_say_to_do(fake_coco):
    path = fake_coco / 'annotations/instances_val2017.json'
    content = json.loads(path.read_text())
    (bee,) = (c for c in content['categories'] if c['name'] == 'bee')
    content['categories'].remove(bee)
    content['annotations'] = [a for a in content['annotations'] if a['category_id'] != bee['id']]
    path.write_text(json.dumps(content))
    model = torch.nn.Module()
    model.head = torch.nn.Module()
    model.head.num_classes = 4
    keys = (KEY, 'val_dataloader.dataset')
    train = build(fake_coco)

    def check(val):
        check_classes(model, dict(zip(keys, (train, val), strict=True)), [])

    with pytest.raises(ConfigError, match=rf'{keys[1]} lacks 1 of the 4 classes of {KEY}: bee'):
        check(build(fake_coco, 'val'))
    with pytest.raises(ValueError, match='add it to the categories') as error:
        build(fake_coco, 'val', classes=train.CLASSES)
    content['categories'].append(json.loads(re.search(r'\{.*?\}', str(error.value))[0]))
    path.write_text(json.dumps(content))
    check(build(fake_coco, 'val', classes=train.CLASSES))


def test_nothing_labelled(warned, fake_coco):
    empty = build(fake_coco, min_box_area=1e6)
    with pytest.raises(ConfigError, match='none of its 12 images has a label, so there is nothing'):
        warned(empty)
    assert 'none of its 12 images has a label, so there is no mAP' in warned(
        empty, key='test_dataloader'
    )


def test_voc_without_labels(warned, voc, tmp_path):
    assert '19 of 20 classes have no image' in warned(voc())
    (tmp_path / 'Annotations/1.xml').write_text('<annotation/>')
    with pytest.raises(ConfigError, match='none of its 1 images has a label, so there is nothing'):
        warned(voc())
    unlabelled = VOC(str(tmp_path), '', 'ImageSets/Main/trainval.txt', 'JPEGImages', test_mode=True)
    assert warned(unlabelled, key='test_dataloader') == ''


def test_images_that_are_trained_on(fake_coco, voc, caplog):
    model = classifier_of(dict(type='LeNet5'), 20, 8, 'MLDecoderHead')

    def said(**datasets):
        caplog.clear()
        named = {f'{key}_dataloader.dataset': each for key, each in datasets.items()}
        check_labels(model, named, logging.getLogger('check_labels'))
        return [r.getMessage() for r in caplog.records if 'trained on' in r.getMessage()]

    train, val = build(fake_coco), build(fake_coco, 'val')
    assert said(train=train, val=val, test=val) == said(val=val, test=train) == []
    lines = said(train=ConcatDataset([train, val]), val=val, test=RepeatDataset(train, 2))
    assert [line.split()[0] for line in lines] == [
        'val_dataloader.dataset:',
        'test_dataloader.dataset:',
    ]
    assert f'{len(val)} of its {len(val)} images are trained on' in lines[0]
    assert '1 of its 1 images' in said(train=voc(), val=voc())[0]


@pytest.mark.parametrize('labels', [['cat'], [0]])
def test_names_in_place_of_indices(warned, tmp_path, labels):
    content = dict(
        metainfo=dict(classes=['dog', 'cat']), data_list=[dict(img_path='a', gt_label=labels)]
    )
    (tmp_path / 'a.json').write_text(json.dumps(content))
    dataset = MultiLabelDataset(str(tmp_path / 'a.json'))
    if labels == [0]:
        assert warned(dataset) == ''
        return
    with pytest.raises(ConfigError, match=r"has the name 'cat', but .* write them, here 1"):
        warned(dataset)


def test_arguments_that_the_hosts_datasets_do_not_read(warned, voc, fake_coco):
    dataset = voc()
    dataset.filter_cfg = dict(filter_empty_gt=True)
    dataset._metainfo['CLASSES'] = ('cat',)
    said = warned(dataset)
    assert 'filter_cfg = ' in said and 'VOC has no filter: remove it' in said
    assert 'metainfo.CLASSES does nothing: write metainfo=dict(classes=...)' in said
    assert warned(build(fake_coco, filter_cfg=dict(filter_empty_gt=True))) == ''

    class Filtering(VOC):
        def filter_data(self):
            return self.data_list

    dataset.__class__ = Filtering
    assert 'filter_cfg' not in warned(dataset)
