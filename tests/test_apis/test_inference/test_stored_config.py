import math
from pathlib import Path

import pytest
import torch
from four_classes import CLASSES, tiny_config, write_checkpoint
from mmengine.config import Config
from mmpretrain.registry import MODELS, TRANSFORMS

from mmpretrain_mldecoder.apis import MultiLabelInferencer
from mmpretrain_mldecoder.apis.inference.stored_config import (
    MAX_CHARACTERS,
    plain_model,
    read_config_text,
    stored_config,
)

ROOT = Path(__file__).parents[3]


@pytest.fixture
def checkpoint(config, tmp_path):
    """Write a checkpoint that carries its config, with more text or another meta."""
    config.model.backbone.init_cfg = dict(type='Pretrained', checkpoint='http://x.invalid/e.pth')
    built = tiny_config('unused')

    def write(text='', **meta) -> str:
        write_checkpoint(built, tmp_path / 'alone.pth', cfg=config.pretty_text + text)
        content = torch.load(tmp_path / 'alone.pth', weights_only=True)
        content['meta'].update(meta)
        torch.save(content, tmp_path / 'alone.pth')
        return str(tmp_path / 'alone.pth')

    return write


def test_checkpoint_alone_predicts_as_with_its_config(config, checkpoint, fake_coco):
    del config.model.backbone['init_cfg']
    with_config = MultiLabelInferencer(config, checkpoint(), device='cpu')
    alone = MultiLabelInferencer.from_checkpoint(checkpoint(), device='cpu', batch_size=3)
    assert alone.batch_size == 3
    images = fake_coco / 'val2017'
    for one, other in zip(with_config(images, thr=0), alone(images, thr=0), strict=True):
        assert one['labels'] == other['labels']
        # Other batches: rounding only.
        assert one['scores'] == pytest.approx(other['scores'], abs=1e-6)


def test_model_preprocessing_pipeline_and_class_names_are_used(checkpoint):
    config = stored_config(checkpoint())
    assert set(config) == {'model', 'data_preprocessor', 'test_dataloader'}
    assert set(config.test_dataloader.dataset) == {'type', 'pipeline', 'metainfo'}
    assert config.test_dataloader.dataset.metainfo.classes == list(CLASSES)
    assert 'init_cfg' not in config.model.backbone
    names = "\ntest_dataloader = dict(dataset=dict(pipeline=[], metainfo=dict(classes=['w', 'x'])))"
    config = stored_config(checkpoint(names, dataset_meta=None))
    assert config.test_dataloader.dataset.metainfo.classes == ['w', 'x']


def test_foreign_modules_are_not_imported(checkpoint, tmp_path, monkeypatch):
    (tmp_path / 'foreign.py').write_text('open("marker", "w")')
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    imports = "\ncustom_imports = dict(imports=['foreign'])\ndefault_scope = 'foreign'"
    MultiLabelInferencer.from_checkpoint(checkpoint(imports), device='cpu')
    model = "\nmodel = dict(type='ImageClassifier', backbone=dict(type='foreign.Net'), head=dict())"
    with pytest.raises(ValueError, match=r"model.backbone.type is 'foreign.Net'"):
        stored_config(checkpoint(model))
    assert not (tmp_path / 'marker').exists()


@pytest.mark.parametrize(
    ('text', 'reason'),
    [
        ("\nimport os\nos.mkdir('marker')", r'line \d+ has a line that is not NAME = VALUE'),
        ("\nmodel = dict(type=open('marker', 'w'))", 'no plain value'),
        ("\nmodel = dict(type='os.system', command='touch marker')", "model.type is 'os.system'"),
        ("\ndata_preprocessor = dict(type='os.system')", 'data_preprocessor.type'),
        ('\nmodel = 1', 'it has no model'),
        ("\ntest_dataloader = dict(dataset=dict(pipeline=['x']))", r'pipeline\[0\] is no dict'),
        ("\ntest_dataloader = dict(dataset=dict(pipeline=[dict(type='a.b')]))", r'\[0\].type is'),
    ],
)
def test_a_config_that_does_more_is_refused(checkpoint, text, reason, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = checkpoint(text)
    with pytest.raises(ValueError, match=f'alone.pth is not used: .*{reason}.*that you trust'):
        MultiLabelInferencer.from_checkpoint(path)
    assert not (tmp_path / 'marker').exists()


@pytest.mark.parametrize(
    ('meta', 'message'),
    [
        (dict(cfg=None), r'carries no config \(meta.cfg\): name a config file'),
        (dict(cfg=dict(a=1)), r'carries no config \(meta.cfg\): name a config file'),
        (dict(dataset_meta=None), 'no class names'),
        (dict(dataset_meta=dict(classes=2)), 'no class names'),
    ],
)
def test_checkpoint_without_config_or_class_names(checkpoint, meta, message):
    with pytest.raises(ValueError, match=message):
        stored_config(checkpoint(**meta))


def test_nonsense_arguments_are_a_value_error(checkpoint):
    text = "\nmodel = dict(type='ImageClassifier', backbone=dict(type='ResNet', depth=19))"
    with pytest.raises(ValueError, match=r'builds no model: .*depth 19'):
        MultiLabelInferencer.from_checkpoint(checkpoint(text), device='cpu')


def test_what_mmengine_writes_is_read_back():
    content = dict(
        number=-1.5e-10,
        infinite=-math.inf,
        words="it's\n{ } \\ \u732b",
        nothing=None,
        flags=(True, False),
        one=(1,),
        empty=[dict(), [], ()],
        nested=dict(type='A', inner=[dict(type='B', pair=(1, dict(c=2)))]),
        keys={'a.b': 1, 2: 'two', 'bias': dict(decay_mult=0.0)},
        long=['word' * 10] * 20,
    )
    assert read_config_text(Config(content).pretty_text) == content
    assert read_config_text("a = dict(b=1, **{'c.d': 2})") == dict(a={'b': 1, 'c.d': 2})


@pytest.mark.parametrize(
    ('text', 'reason'),
    [
        ('a = 1\nb = a', 'line 2 has a, which is no plain value'),
        ("a = open('marker', 'w')", r"line 1 has open\('marker', 'w'\), which"),
        ("a = dict(b=[open('marker', 'w')])", r"open\('marker'"),
        *(
            (f'a = {text}', 'which is no plain value')
            for text in ("f'{open(0)}'", "'x' * 10**10", '[i for i in (1,)]', 'dict(x)')
        ),
        ('a = dict(**[1])', r'line 1 has dict\(\*\*\[1\]\), which is no plain value'),
        ('a = {[1]: 3}', 'no plain value'),
        ("a = -'b'", "line 1 has -'b', which is no plain value"),
        *((text, 'not NAME = VALUE') for text in ('a.b = 1', 'a = b = 1', 'import os')),
        ('a = (', 'line 1 is no Python'),
        ('a = "\0"', 'cannot be parsed|no Python'),
        ('a = ' + '[' * 5000 + ']' * 5000, 'no Python|cannot be parsed'),
        ('a = ' + '-' * 50_000 + '1', 'cannot be parsed|no plain value|no Python'),
        ('#' * (MAX_CHARACTERS + 1), r'1,000,001 characters, more than 1,000,000'),
    ],
)
def test_anything_else_is_refused_and_not_run(text, reason, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=reason):
        read_config_text(text)
    assert list(tmp_path.iterdir()) == []


def test_every_row_is_plain():
    rows = sorted((ROOT / 'configs').glob('[!_]*/*.py'))
    assert len(rows) > 20
    for path in rows:
        cfg = Config.fromfile(path)
        model = plain_model(cfg.model.to_dict(), MODELS, 'model')
        assert model['type'] == cfg.model.type, path
        assert '://' not in str(model)  # where weights come from
        for step in cfg.test_dataloader.dataset.pipeline:
            assert plain_model(step.to_dict(), TRANSFORMS, 'step') == step.to_dict(), path


def test_what_only_training_needs_is_left_out_and_types_lose_their_module():
    config = dict(
        type='mmpretrain.models.ImageClassifier',
        pretrained='http://host.invalid/evil.pth',
        train_cfg=dict(augments=dict(type='os.system')),
        init_cfg=dict(type='Pretrained', checkpoint='/etc/passwd'),
        head=dict(type='mmpretrain.LinearClsHead', num_classes=2, init_cfg=[dict(type='x.y')]),
    )
    head = dict(type='LinearClsHead', num_classes=2)
    assert plain_model(config, MODELS, 'model') == dict(type='ImageClassifier', head=head)


@pytest.mark.parametrize('type_', ['TIMMBackbone', 'TIMMFeatureMap'])
def test_networks_of_timm_by_their_names(type_):
    config = dict(type=type_, model_name='vit_base_patch16_clip_224.openai', img_size=448)
    assert plain_model(dict(config, pretrained=True), MODELS, 'm') == config


@pytest.mark.parametrize(
    ('config', 'reason'),
    [
        (dict(type='os.system'), r"m.type is 'os.system'"),
        (dict(type='elsewhere.ResNet'), r"m.type is 'elsewhere.ResNet'"),
        (dict(type=print), r'm.type is <built-in'),
        (dict(type='TimmClassifier', model_name='hf-hub:a/b'), 'm.type'),
        (dict(type='HuggingFaceClassifier', model_name='a/b', trust_remote_code=True), 'm.type'),
        (dict(type='VQAGenerationHead', answer_list_path='evil.pkl'), 'm.type'),
        (dict(type='TIMMBackbone', model_name='hf-hub:a/b'), 'm.model_name'),
        (dict(type='TIMMBackbone', model_name='local-dir:.'), 'm.model_name'),
        (dict(type='TIMMBackbone', model_name='resnet18', norm_layer='os.system'), 'm.norm_layer'),
        (dict(type='TIMMBackbone', model_name='resnet18', cache_dir=dict(a=1)), 'm.cache_dir'),
        (dict(type='TIMMFeatureMap', model_name='resnet18', cache_dir='a'), 'm.cache_dir'),
        (dict(type='ResNet', style='../x'), r"m.style is '../x', which is no plain word"),
        (dict(type='ResNet', norm_cfg=dict(type='posix.system')), r'm.norm_cfg.type'),
        (dict(type='ResNet', frozen=b'x'), r"m.frozen is b'x', not text"),
        ({'type': 'ResNet', 'a b': 1}, "the key 'a b'"),
        (dict(neck=[dict(type='builtins.eval')]), r'm.neck\[0\].type'),
    ],
)
def test_other_types_and_values_are_refused(config, reason):
    with pytest.raises(ValueError, match=reason):
        plain_model(config, MODELS, 'm')


def test_transforms_that_do_more_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = "float32 if open('marker', 'w') else 0"
    convert = dict(type='torchvision/ConvertImageDtype', dtype=text)
    for step in (convert, dict(type='Albumentations'), dict(type='PackInputs', input_key='a/b')):
        with pytest.raises(ValueError, match='step'):
            plain_model(step, TRANSFORMS, 'step')
    assert not (tmp_path / 'marker').exists()
    TRANSFORMS.build(convert)  # the host hands this text to `eval`: building it is enough
    assert (tmp_path / 'marker').exists()
