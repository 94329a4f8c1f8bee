from pathlib import Path

import pytest
from mmengine.config import Config
from mmpretrain.registry import MODELS, TRANSFORMS

from mmpretrain_mldecoder.apis.inference.stored_config import plain_model

ROOT = Path(__file__).parents[3]
ROWS = sorted(path for path in (ROOT / 'configs').glob('[!_]*/*.py'))


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
