"""What an inferencer takes from config and checkpoint, and what it refuses."""

import json
from copy import deepcopy

import pytest
import torch
from four_classes import CLASSES

from mmpretrain_mldecoder.apis import MultiLabelInferencer


def test_config_file_and_unchanged_config(config, checkpoint, fake_coco, tmp_path):
    before = deepcopy(config.to_dict())
    path = tmp_path / 'config.py'
    config.dump(path)
    image = fake_coco / 'val2017' / '000000000001.jpg'
    from_file = MultiLabelInferencer(path, str(checkpoint), device='cpu')(image, thr=0)
    assert from_file == MultiLabelInferencer(config, checkpoint, device='cpu')(image, thr=0)
    assert config.to_dict() == before


def test_class_names_fall_back_to_the_annotations_and_the_config(config, checkpoint, fake_coco):
    content = torch.load(checkpoint, weights_only=True)
    torch.save(dict(state_dict=content['state_dict']), checkpoint)
    names = json.loads((fake_coco / 'annotations/instances_val2017.json').read_text())['categories']
    inferencer = MultiLabelInferencer(config, checkpoint, device='cpu')
    names.sort(key=lambda entry: entry['id'])
    assert inferencer.classes == [entry['name'] for entry in names]
    config.test_dataloader.dataset.ann_file = 'absent.json'
    with pytest.raises(ValueError, match=r'no class names.*absent.json.*metainfo=dict\(classes='):
        MultiLabelInferencer(config, checkpoint, device='cpu')
    config.test_dataloader.dataset.metainfo = dict(classes=['w', 'x', 'y', 'z'])
    assert MultiLabelInferencer(config, checkpoint, device='cpu').classes == ['w', 'x', 'y', 'z']
    torch.save(content, checkpoint)
    assert MultiLabelInferencer(config, checkpoint, device='cpu').classes == list(CLASSES)


def test_wrong_number_of_class_names(config, checkpoint):
    content = torch.load(checkpoint, weights_only=True)
    content['meta']['dataset_meta']['classes'] = CLASSES[:3]
    torch.save(content, checkpoint)
    with pytest.raises(ValueError, match='scores 4 classes, but 3 class names'):
        MultiLabelInferencer(config, checkpoint, device='cpu')


def test_checkpoint_of_another_model(config, checkpoint):
    config.model.head.embed_dims = 32
    with pytest.raises(
        RuntimeError, match=r'tiny\.pth is not of this model: size mismatch.*more of the kind'
    ):
        MultiLabelInferencer(config, checkpoint, device='cpu')


def test_no_checkpoint(config, checkpoint):
    with pytest.raises(ValueError, match=r'no checkpoint.*pretrained='):
        MultiLabelInferencer(config, device='cpu')
    config.load_from = str(checkpoint)
    assert MultiLabelInferencer(config, device='cpu').classes == list(CLASSES)


def test_wrong_batch_size(config, checkpoint):
    with pytest.raises(ValueError, match='batch_size must be at least 1, but got 0'):
        MultiLabelInferencer(config, checkpoint, batch_size=0)


def test_device_that_is_not_there(config, checkpoint):
    if torch.cuda.is_available():
        pytest.skip('there is a GPU')
    with pytest.raises(ValueError, match='device is cuda, but torch finds no GPU'):
        MultiLabelInferencer(config, checkpoint, device='cuda')


@pytest.mark.parametrize('name', ['backbone.bn1.running_var', 'head.decoder.group_linear.weight'])
def test_weights_of_a_training_that_diverged(config, checkpoint, name):
    content = torch.load(checkpoint, weights_only=True)
    content['state_dict'][name].view(-1)[-1] = float('nan')
    torch.save(content, checkpoint)
    with pytest.raises(ValueError, match=rf'tiny\.pth has NaN among its weights, .* {name}'):
        MultiLabelInferencer(config, checkpoint, device='cpu')


@pytest.mark.parametrize(
    ('names', 'message'),
    [
        ([None, 'b', 'c', 'd'], 'a name that is no text: None'),
        ([['a'], 'b', 'c', 'd'], r"a name that is no text: \['a'\]"),
        (['\ud800', 'b', 'c', 'd'], r"a name that is no text: '\\ud800'"),
    ],
)
def test_class_names_that_are_no_text(config, checkpoint, names, message):
    content = torch.load(checkpoint, weights_only=True)
    content['meta']['dataset_meta']['classes'] = names
    torch.save(content, checkpoint)
    with pytest.raises(ValueError, match=message):
        MultiLabelInferencer(config, checkpoint, device='cpu')


def test_numbers_as_class_names(config, checkpoint):
    content = torch.load(checkpoint, weights_only=True)
    content['meta']['dataset_meta']['classes'] = [1, 2, 3, 4]
    torch.save(content, checkpoint)
    inferencer = MultiLabelInferencer(config, checkpoint, device='cpu')
    assert inferencer.classes == ['1', '2', '3', '4']


def test_checkpoint_without_meta(config, checkpoint, fake_coco):
    content = torch.load(checkpoint, weights_only=True)
    torch.save(content | dict(meta=None), checkpoint)
    assert len(MultiLabelInferencer(config, checkpoint, device='cpu').classes) == 4
