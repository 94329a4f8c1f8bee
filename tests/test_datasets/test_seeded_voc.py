"""VOC's annotations, and the datasets that the runner puts under seeds."""

import pickle

import numpy as np
import pytest
import torch
from faulty_images import encoded, photo
from mmengine.dataset import Compose, ConcatDataset
from mmengine.registry import init_default_scope

from mmpretrain_mldecoder.datasets import (
    ClassBalancedSampler,
    SampleIndex,
    SeededDataset,
    SeededVOC,
)
from mmpretrain_mldecoder.engine import PortableRunner

OBJECT = '<object><name>{}</name>{}</object>'
PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale=16),
    dict(type='PackMultiLabelInputs'),
]


@pytest.fixture
def voc(tmp_path):
    """Write VOC's folders of so many images, each with these objects, and return the config."""

    def write(objects: str, number: int = 1) -> dict:
        for folder in ('Annotations', 'ImageSets/Main', 'JPEGImages'):
            (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        for i in range(number):
            (tmp_path / f'JPEGImages/{i}.jpg').write_bytes(encoded(photo(i)))
            (tmp_path / f'Annotations/{i}.xml').write_text(f'<annotation>{objects}</annotation>')
        names = '\n'.join(map(str, range(number)))
        (tmp_path / 'ImageSets/Main/trainval.txt').write_text(names)
        return dict(type='VOC', data_root=str(tmp_path), pipeline=PIPELINE)

    return write


def loader(dataset: dict, sampler: str = 'SeededSampler', **options):
    init_default_scope('mmpretrain')
    sampler = dict(type=sampler, shuffle=True, **options)
    return PortableRunner.build_dataloader(
        dict(dataset=dataset, sampler=sampler, batch_size=2, collate_fn=list_of_samples), seed=3
    )


def list_of_samples(samples):
    return list(samples)


def test_an_object_without_difficult_is_not_difficult(voc):
    marks = ('', '<difficult>0</difficult>', '<difficult> 1 </difficult>', '<difficult/>')
    marks += ('<difficult>True</difficult>', '<difficult>false</difficult>')
    objects = ''.join(map(OBJECT.format, ('cat', 'dog', 'cow', 'bird', 'bus', 'car'), marks))
    objects += OBJECT.format('unicorn', '') + '<object><name/></object>'
    dataset = loader(voc(objects), 'DefaultSampler').dataset
    info, names = dataset.get_data_info(0), dataset.CLASSES
    assert {names[i] for i in info['gt_label']} == {'cat', 'dog', 'bird', 'car'}
    assert {names[i] for i in info['gt_label_difficult']} == {'cow', 'bus'}


@pytest.mark.parametrize('objects', ['<object>', OBJECT.format('cat', '<difficult>x</difficult>')])
def test_an_annotation_that_cannot_be_read_is_named(voc, objects):
    with pytest.raises(ValueError, match=r'Annotations/0\.xml is .*: correct it'):
        SeededVOC(**{k: v for k, v in voc(objects).items() if k != 'type'})


@pytest.mark.parametrize('encoding', ['gb2312', 'nonsense'])  # no codec of expat's, none at all
def test_an_annotation_in_an_unknown_encoding_is_named(voc, tmp_path, encoding):
    config = {k: v for k, v in voc('').items() if k != 'type'}
    text = f'<?xml version="1.0" encoding="{encoding}"?><annotation/>'
    (tmp_path / 'Annotations/0.xml').write_text(text)
    with pytest.raises(ValueError, match=r'Annotations/0\.xml is not XML .*encoding'):
        SeededVOC(**config)


@pytest.mark.parametrize('root', ['html', 'annotation xmlns="urn:voc"'])
def test_an_annotation_that_is_not_of_voc_is_named(voc, tmp_path, root):
    config = {k: v for k, v in voc('').items() if k != 'type'}
    (tmp_path / 'Annotations/0.xml').write_text(f'<{root}/>')
    with pytest.raises(ValueError, match=r'Annotations/0\.xml is not XML of VOC .*<annotation>'):
        SeededVOC(**config)


def test_objects_one_level_deeper_are_found(voc):
    config = voc(f'<objects>{OBJECT.format("cat", "")}</objects>')
    dataset = SeededVOC(**{k: v for k, v in config.items() if k != 'type'})
    assert dataset.get_data_info(0)['gt_label'] == [dataset.CLASSES.index('cat')]


def test_an_image_that_a_list_names_again_counts_once(voc, tmp_path):
    config = {k: v for k, v in voc(OBJECT.format('cat', ''), 2).items() if k != 'type'}
    (tmp_path / 'ImageSets/Main/trainval.txt').write_text('0\n1\n0\n0 \n')
    names = [info['img_path'][-5:] for info in map(SeededVOC(**config).get_data_info, range(2))]
    assert names == ['0.jpg', '1.jpg']
    assert len(SeededVOC(**config)) == 2


def test_folders_in_the_place_of_files_are_named(voc, tmp_path):
    config = {k: v for k, v in voc('').items() if k != 'type'}
    with pytest.raises(ValueError, match='Main is a folder: name a list'):
        SeededVOC(image_set_path='ImageSets/Main', **config)
    (tmp_path / 'Annotations/0.xml').unlink()
    (tmp_path / 'Annotations/0.xml').mkdir()
    with pytest.raises(ValueError, match=r'0\.xml is not XML of VOC .*directory'):
        SeededVOC(**config)


def test_a_root_at_home(voc, tmp_path, monkeypatch):
    config = {k: v for k, v in voc('').items() if k not in ('type', 'data_root')}
    monkeypatch.setenv('HOME', str(tmp_path))
    assert len(SeededVOC('~', **config)) == 1


def test_blanks_around_names_and_a_byte_order_mark(voc, tmp_path):
    config = {k: v for k, v in voc(OBJECT.format(' cat\n', '')).items() if k != 'type'}
    (tmp_path / 'ImageSets/Main/trainval.txt').write_bytes(b'\xef\xbb\xbf0 \r\n')
    dataset = SeededVOC(**config)
    assert dataset.get_data_info(0)['gt_label'] == [dataset.CLASSES.index('cat')]


def test_what_a_folder_lacks_is_named(voc, tmp_path):
    config = {k: v for k, v in voc(OBJECT.format('cat', ''), 2).items() if k != 'type'}
    lists = tmp_path / 'ImageSets/Main/trainval.txt'
    lists.write_bytes(b'0\r\n1 \r\n\r\n')
    assert len(SeededVOC(**config)) == 2
    (tmp_path / 'Annotations/1.xml').unlink()
    with pytest.raises(FileNotFoundError, match=r"names '1', and there is no .*1\.xml"):
        SeededVOC(**config)
    (tmp_path / 'JPEGImages/1.jpg').unlink()
    with pytest.raises(FileNotFoundError, match=r'1 of 2 images .*1\.jpg'):
        SeededVOC(**config)
    lists.write_text('\n')
    with pytest.raises(ValueError, match='has no lines'):
        SeededVOC(**config)
    lists.write_text('0  -1\n1   1\n')  # as in the lists of a class
    with pytest.raises(FileNotFoundError, match=r'first: 0  -1\.jpg.* no folder, suffix or label'):
        SeededVOC(**config)
    lists.write_text('0', encoding='utf-16')
    with pytest.raises(ValueError, match=r'trainval\.txt is not UTF-8 \(byte 0\)'):
        SeededVOC(**config)


def test_other_lists_are_named(voc, tmp_path):
    config = {k: v for k, v in voc('').items() if k not in ('type', 'data_root')}
    (tmp_path / 'ImageSets/Main/cat_val.txt').touch()
    with pytest.raises(FileNotFoundError, match=r'test\.txt \(there are trainval\): .*`split`'):
        SeededVOC(tmp_path, split='test', **config)
    devkit = tmp_path / 'VOCdevkit'
    (devkit / 'VOC2007/ImageSets/Main').mkdir(parents=True)
    (tmp_path / 'ImageSets').rename(tmp_path / 'lists')
    for root in (devkit, tmp_path):
        with pytest.raises(FileNotFoundError, match=r'\(but ImageSets in .*VOC2007\): set'):
            SeededVOC(str(root), **config)


def test_objects_of_other_classes_are_counted(voc):
    config = {k: v for k, v in voc(OBJECT.format('Cat', ''), 2).items() if k != 'type'}
    with pytest.raises(ValueError, match=r"2 objects .* \(20\): 'Cat' \(2\)"):
        SeededVOC(**config)
    assert SeededVOC(**config, metainfo=dict(classes=['Cat'])).get_data_info(1)['gt_label'] == [0]


def wrapped(kind: str, voc: dict) -> dict:
    folders = dict(voc, type='CustomDataset', data_root=voc['data_root'] + '/JPEGImages')
    return {
        'VOC': voc,
        'CustomDataset': dict(folders, with_label=False),
        'RepeatDataset': dict(type='RepeatDataset', dataset=voc, times=1),
        'ConcatDataset': dict(type='ConcatDataset', datasets=[voc]),
        'KFoldDataset': dict(type='KFoldDataset', dataset=voc, num_splits=2),
    }[kind]


@pytest.mark.parametrize(
    'kind', ['VOC', 'CustomDataset', 'RepeatDataset', 'ConcatDataset', 'KFoldDataset']
)
def test_the_runner_seeds_every_dataset(voc, kind):
    """Each epoch repeats in another loader, and no two are alike."""
    dataset = wrapped(kind, voc(OBJECT.format('cat', ''), 6))
    epochs = []
    for epoch in (0, 1, 1):
        built = loader(dataset)
        built.sampler.set_epoch(epoch)
        samples = [sample for batch in built for sample in batch]
        order = np.argsort([sample['data_samples'].img_path for sample in samples])
        epochs.append(np.stack([samples[i]['inputs'].numpy() for i in order]))
        np.random.rand()
    np.testing.assert_array_equal(epochs[1], epochs[2])
    assert (epochs[0] != epochs[1]).any()
    assert isinstance(built.dataset, SeededVOC if kind == 'VOC' else SeededDataset)
    again = pickle.loads(pickle.dumps(built.dataset))  # as for workers that are spawned
    one, other = (each[SampleIndex(2, seed=5)]['inputs'] for each in (built.dataset, again))
    assert torch.equal(one, other)


@pytest.mark.parametrize('sampler', ['mmpretrain.ClassBalancedSampler', ClassBalancedSampler])
def test_the_runner_seeds_for_balanced_sampling(voc, sampler):
    dataset = wrapped('RepeatDataset', voc(OBJECT.format('cat', ''), 6))
    built = loader(dataset, sampler, oversample_thr=0.5)
    assert isinstance(built.dataset, SeededDataset) and len(built.sampler) == 6


def test_a_pipeline_that_a_hook_replaces_is_used(voc):
    folders = wrapped('CustomDataset', voc('', 2))
    dataset = loader(folders).dataset
    dataset.pipeline = Compose([dict(type='LoadImageFromFile'), dict(type='PackInputs')])
    assert dataset[0]['inputs'].shape == (3, 60, 80)
    assert not hasattr(SeededDataset(ConcatDataset([dataset.dataset])), 'pipeline')  # hooks ask
