import math
from pathlib import Path

import pytest
import torch
from fake_coco import write_coco
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
ROWS = sorted(path for path in (ROOT / 'configs').glob('[!_]*/*.py'))
CLASSES = ['ant', 'bee', 'cat', 'dog']  # of the fake COCO
CONFIG = """
custom_imports = dict(imports=['mmpretrain_mldecoder'], allow_failed_imports=False)
default_scope = 'mmpretrain'
data_preprocessor = dict(mean=[100, 110, 120], std=[60, 50, 40], to_rgb=True)
model = dict(
    type='ImageClassifier',
    backbone=dict(type='ResNetVd', depth=18, stem_channels=4, base_channels=4,
                  init_cfg=dict(type='Pretrained', checkpoint='http://host.invalid/evil.pth')),
    head=dict(type='MLDecoderHead', num_classes=4, in_channels=32, embed_dims=8, num_heads=2,
              num_groups=2, feedforward_channels=16))
test_dataloader = dict(
    dataset=dict(
        type='COCOMultiLabel', data_root={data_root!r}, data_prefix='val2017',
        ann_file='annotations/instances_val2017.json',
        pipeline=[dict(type='LoadImageFromFile'), dict(type='SquareResize', scale=32),
                  dict(type='PackMultiLabelInputs')]))
"""


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('stored')
    write_coco(folder / 'coco', dict(val=5))
    (folder / 'config.py').write_text(CONFIG.format(data_root=str(folder / 'coco')))
    cfg = Config.fromfile(folder / 'config.py')
    torch.manual_seed(0)
    model = MODELS.build(dict(cfg.model, data_preprocessor=cfg.data_preprocessor))
    meta = dict(cfg=cfg.pretty_text, dataset_meta=dict(classes=CLASSES))
    torch.save(dict(state_dict=model.state_dict(), meta=meta), folder / 'checkpoint.pth')
    return folder


@pytest.fixture
def change(folder, tmp_path):
    """Write the checkpoint with another meta."""

    def write(text=None, **meta) -> str:
        content = torch.load(folder / 'checkpoint.pth', weights_only=True)
        content['meta'].update(meta)
        if text is not None:
            content['meta']['cfg'] += text
        torch.save(content, tmp_path / 'changed.pth')
        return str(tmp_path / 'changed.pth')

    return write


def test_checkpoint_alone_predicts_as_with_its_config(folder):
    checkpoint = folder / 'checkpoint.pth'
    with_config = MultiLabelInferencer(folder / 'config.py', checkpoint, device='cpu')
    alone = MultiLabelInferencer.from_checkpoint(checkpoint, device='cpu', batch_size=3)
    assert alone.batch_size == 3
    photos = folder / 'coco' / 'val2017'
    for one, other in zip(with_config(photos, thr=0), alone(photos, thr=0), strict=True):
        assert one['labels'] == other['labels']
        # Other batches: rounding only.
        assert one['scores'] == pytest.approx(other['scores'], abs=1e-6)


def test_nothing_but_model_preprocessing_and_pipeline_is_taken(folder):
    config = stored_config(folder / 'checkpoint.pth')
    assert set(config) == {'model', 'data_preprocessor', 'test_dataloader'}
    assert set(config.test_dataloader.dataset) == {'type', 'pipeline', 'metainfo'}
    assert 'init_cfg' not in config.model.backbone


def test_foreign_modules_are_not_imported(change, tmp_path, monkeypatch):
    (tmp_path / 'foreign.py').write_text('open("marker", "w")')
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    imports = "\ncustom_imports = dict(imports=['foreign'])\ndefault_scope = 'foreign'"
    MultiLabelInferencer.from_checkpoint(change(imports), device='cpu')
    assert not (tmp_path / 'marker').exists()
    with pytest.raises(ValueError, match=r"model.backbone.type is 'foreign.Net'"):
        stored_config(
            change(
                "\nmodel = dict(type='ImageClassifier', backbone=dict("
                "type='foreign.Net'), head=dict())"
            )
        )
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
def test_a_config_that_does_more_is_refused(change, text, reason, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    checkpoint = change(text)
    with pytest.raises(ValueError, match=f'changed.pth is not used: .*{reason}.*that you trust'):
        MultiLabelInferencer.from_checkpoint(checkpoint)
    assert not (tmp_path / 'marker').exists()


@pytest.mark.parametrize('cfg', [None, 1, dict(a=1)])
def test_checkpoint_without_config(change, cfg):
    with pytest.raises(ValueError, match=r'carries no config \(meta.cfg\): name a config file'):
        stored_config(change(cfg=cfg))


@pytest.mark.parametrize('meta', [None, dict(), dict(classes=2), dict(classes=[])])
def test_checkpoint_without_class_names(change, meta):
    with pytest.raises(ValueError, match='no class names'):
        stored_config(change(dataset_meta=meta))


def test_nonsense_arguments_are_a_value_error(change):
    text = "\nmodel = dict(type='ImageClassifier', backbone=dict(type='ResNet', depth=19))"
    with pytest.raises(ValueError, match=r'builds no model: .*depth 19'):
        MultiLabelInferencer.from_checkpoint(change(text), device='cpu')


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


def test_double_star_is_a_dict():
    assert read_config_text("a = dict(b=1, **{'c.d': 2})") == dict(a={'b': 1, 'c.d': 2})


@pytest.mark.parametrize(
    ('text', 'reason'),
    [
        ('import os', 'line 1 has a line that is not NAME = VALUE'),
        ('a = 1\nb = a', 'line 2 has a, which is no plain value'),
        ("a = open('marker', 'w')", r"line 1 has open\('marker', 'w'\), which"),
        ("a = dict(open('marker', 'w'))", 'which is no plain value'),
        ("a = dict(b=[open('marker', 'w')])", r"open\('marker'"),
        ("a = __import__('os').system('touch marker')", 'which is no plain value'),
        ("a = f'{open(0)}'", 'which is no plain value'),
        ("a = 'x' * 10**10", 'which is no plain value'),
        ('a = [i for i in (1,)]', 'which is no plain value'),
        ('a = lambda: 1', 'which is no plain value'),
        ('a = (b := 1)', 'which is no plain value'),
        ('a = dict(**[1])', r'\*\* before something that is no dict'),
        ('a = {(1, 2): 3}', 'the key'),
        ('a = {**1}', r'\*\* before'),
        ("a = -'b'", "a minus before 'b'"),
        ('a.b = 1', 'not NAME = VALUE'),
        ('a = b = 1', 'not NAME = VALUE'),
        ('def f(): pass', 'not NAME = VALUE'),
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


def leaves(value) -> list:
    if isinstance(value, dict):
        return [leaf for inner in value.values() for leaf in leaves(inner)]
    if isinstance(value, list | tuple):
        return [leaf for inner in value for leaf in leaves(inner)]
    return [value]


@pytest.mark.parametrize('path', ROWS, ids=lambda path: path.stem)
def test_every_row_is_plain(path):
    cfg = Config.fromfile(path)
    model = plain_model(cfg.model.to_dict(), MODELS, 'model')
    assert model['type'] == cfg.model.type
    assert not any('://' in str(leaf) for leaf in leaves(model))  # where weights come from
    for step in cfg.test_dataloader.dataset.pipeline:
        assert plain_model(step.to_dict(), TRANSFORMS, 'step') == step.to_dict()


def test_host_types_may_be_written_with_their_module():
    written = dict(type='mmpretrain.models.ResNet', norm_cfg=dict(type='mmpretrain.BN'))
    plain = plain_model(written, MODELS, 'model')
    assert plain == dict(type='ResNet', norm_cfg=dict(type='BN'))


def test_what_only_training_needs_is_left_out():
    config = dict(
        type='ImageClassifier',
        pretrained='http://host.invalid/evil.pth',
        train_cfg=dict(augments=dict(type='os.system')),
        init_cfg=dict(type='Pretrained', checkpoint='/etc/passwd'),
        head=dict(type='LinearClsHead', in_channels=4, num_classes=2, init_cfg=[dict(type='x.y')]),
    )
    head = dict(type='LinearClsHead', in_channels=4, num_classes=2)
    assert plain_model(config, MODELS, 'model') == dict(type='ImageClassifier', head=head)


@pytest.mark.parametrize(
    ('config', 'reason'),
    [
        (dict(type='os.system'), r"m.type is 'os.system'"),
        (dict(type='Elsewhere'), r"m.type is 'Elsewhere'"),
        (dict(type='elsewhere.ResNet'), r"m.type is 'elsewhere.ResNet'"),
        (dict(type=print), r'm.type is <built-in'),
        (dict(type='TimmClassifier', model_name='hf-hub:a/b'), 'm.type'),
        (dict(type='HuggingFaceClassifier', model_name='a/b', trust_remote_code=True), 'm.type'),
        (dict(type='VQAGenerationHead', answer_list_path='evil.pkl'), 'm.type'),
        (dict(type='TIMMBackbone', model_name='hf-hub:a/b'), 'm.model_name'),
        (dict(type='TIMMBackbone', model_name='local-dir:.'), 'm.model_name'),
        (dict(type='TIMMBackbone', model_name='resnet18', norm_layer='os.system'), 'm.norm_layer'),
        (dict(type='TIMMBackbone', model_name='resnet18', cache_dir=dict(a=1)), 'm.cache_dir'),
        (dict(type='ResNet', style='../x'), r"m.style is '../x', which is no plain word"),
        (dict(type='ResNet', style='http://x'), 'no plain word'),
        (dict(type='ResNet', norm_cfg=dict(type='posix.system')), r'm.norm_cfg.type'),
        (dict(type='ResNet', frozen=b'x'), r"m.frozen is b'x', not text"),
        ({'type': 'ResNet', 'a b': 1}, "the key 'a b'"),
        (dict(neck=[dict(type='builtins.eval')]), r'm.neck\[0\].type'),
    ],
)
def test_the_rest_is_refused(config, reason):
    with pytest.raises(ValueError, match=reason):
        plain_model(config, MODELS, 'm')


@pytest.mark.parametrize(
    'step',
    [
        # The host hands this text to `eval`.
        dict(type='torchvision/ConvertImageDtype', dtype="float32 if open('marker','w') else 0"),
        dict(type='Albumentations', transforms=[]),
        dict(type='PackInputs', input_key='a/b'),
    ],
)
def test_transforms_that_do_more_are_refused(step):
    with pytest.raises(ValueError, match='step'):
        plain_model(step, TRANSFORMS, 'step')


def test_the_host_would_run_the_text_of_a_transform(tmp_path, monkeypatch):
    """Why `torchvision/...` is not allowed: building it is enough."""
    monkeypatch.chdir(tmp_path)
    text = "float32 if open('marker', 'w') else 0"
    TRANSFORMS.build(dict(type='torchvision/ConvertImageDtype', dtype=text))
    assert (tmp_path / 'marker').exists()
