import json
from types import SimpleNamespace

import pytest
import torch
from four_classes import CLASSES, write_checkpoint
from mmpretrain.apis import ModelHub
from mmpretrain.registry import MODELS

from mmpretrain_mldecoder.apis.trained_model import dataset_class_names, load_trained


def load(config, checkpoint) -> tuple[list[str], dict]:
    return load_trained(MODELS.build(config.model), config, checkpoint)


def test_names_and_meta_of_the_checkpoint(config, tmp_path):
    names, meta = load(
        config, write_checkpoint(config, tmp_path / 'a.pth', [1, 2, 3, 'd'], epoch=7)
    )
    assert names == ['1', '2', '3', 'd']
    assert meta['epoch'] == 7


@pytest.mark.parametrize('meta', [None, dict(), dict(dataset_meta=None)])
def test_class_names_fall_back_to_the_config_and_the_annotations(
    config, checkpoint, meta, fake_coco
):
    content = torch.load(checkpoint, weights_only=True)
    torch.save(content | dict(meta=meta), checkpoint)
    config.test_dataloader.dataset.data_prefix = 'absent'  # the images need not be there
    entries = json.loads((fake_coco / 'annotations/instances_val2017.json').read_text())
    categories = sorted(entries['categories'], key=lambda entry: entry['id'])
    assert load(config, checkpoint) == ([entry['name'] for entry in categories], meta or {})
    config.test_dataloader.dataset.ann_file = 'absent.json'
    with pytest.raises(ValueError, match=r'no class names.*absent.json.*metainfo=dict\(classes='):
        load(config, checkpoint)
    config.test_dataloader.dataset.metainfo = dict(classes=['w', 'x', 'y', 'z'])
    assert load(config, checkpoint)[0] == ['w', 'x', 'y', 'z']


def test_class_names_of_a_type_of_dataset():
    names = dataset_class_names(dict(type='CIFAR10', data_prefix='absent'))
    assert names[:2] == ['airplane', 'automobile']


@pytest.mark.parametrize(
    ('classes', 'message'),
    [
        (CLASSES[:3], 'scores 4 classes, but 3 class names'),
        ([None, 'b', 'c', 'd'], 'must be text, but is None'),
        ([['a'], 'b', 'c', 'd'], r"must be text, but is \['a'\]"),
        (['\ud800', 'b', 'c', 'd'], r"must be text, but is '\\ud800'"),
    ],
)
def test_wrong_class_names(config, tmp_path, classes, message):
    with pytest.raises(ValueError, match=message):
        load(config, write_checkpoint(config, tmp_path / 'a.pth', classes))


def test_weights_of_a_training_that_diverged(config, checkpoint):
    content = torch.load(checkpoint, weights_only=True)
    content['state_dict']['backbone.bn1.running_var'][-1] = float('nan')
    torch.save(content, checkpoint)
    with pytest.raises(ValueError, match=r'tiny\.pth has NaN among its weights .*running_var'):
        load(config, checkpoint)


def test_published_weights_with_the_pixels_of_another_row(
    config, checkpoint, tmp_path, monkeypatch
):
    row = config.copy()
    row.data_preprocessor = dict(config.get('data_preprocessor', {}), std=[64.0] * 3)
    row.dump(tmp_path / 'row.py')
    published = SimpleNamespace(weights=str(checkpoint), config=str(tmp_path / 'row.py'))
    monkeypatch.setitem(ModelHub._models_dict, 'its_row', published)
    with pytest.warns(UserWarning, match=r'trained with other pixels: .* \(its_row: 0\.251'):
        load(config, checkpoint)
