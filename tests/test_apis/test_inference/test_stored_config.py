import pytest
import torch
from fake_coco import write_coco
from mmengine.config import Config
from mmpretrain.registry import MODELS

from mmpretrain_mldecoder.apis import MultiLabelInferencer
from mmpretrain_mldecoder.apis.inference.stored_config import stored_config

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


@pytest.mark.parametrize('meta', [None, dict(), dict(classes=[1, 2]), dict(classes=[])])
def test_checkpoint_without_class_names(change, meta):
    with pytest.raises(ValueError, match='no names of classes'):
        stored_config(change(dataset_meta=meta))


def test_nonsense_arguments_are_a_value_error(change):
    text = "\nmodel = dict(type='ImageClassifier', backbone=dict(type='ResNet', depth=19))"
    with pytest.raises(ValueError, match=r'builds no model: .*depth 19'):
        MultiLabelInferencer.from_checkpoint(change(text), device='cpu')
