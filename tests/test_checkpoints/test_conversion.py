import numpy as np
import pytest
import torch
from classifiers import classifier_of
from mmpretrain.registry import MODELS
from published_names import paddleclas_fc, paddleclas_resnet, random_arrays
from tiny_run import assert_equal

from mmpretrain_mldecoder.checkpoints import convert, load_weights_only, to_checkpoint
from mmpretrain_mldecoder.checkpoints.conversion import family_of

PADDLE = random_arrays(paddleclas_resnet(18, True, width=8) | paddleclas_fc(64, 3))
MIIL = {
    'body.conv1.0.weight': torch.rand(4, 48, 3, 3),
    'body.conv1.1.weight': torch.rand(4),
    'head.decoder.layers.0.multihead_attn.in_proj_weight': torch.arange(12.0).reshape(6, 2),
}


def small_model():
    return classifier_of(dict(type='ResNetVd', depth=18, stem_channels=8, base_channels=8), 3, 64)


@pytest.mark.parametrize('wrapper', [None, 'model', 'state_dict'])
@pytest.mark.parametrize('prefix', ['', 'module.', 'module.module.'])
def test_wrappers_and_prefixes(wrapper, prefix):
    checkpoint = {f'{prefix}{name}': value for name, value in PADDLE.items()}
    if wrapper:
        checkpoint = {wrapper: checkpoint, 'epoch': 3}
    conversion = convert(checkpoint)
    assert conversion.family == 'paddleclas'
    small_model().load_state_dict(conversion.state_dict, strict=True)
    assert set(conversion.sources) == set(conversion.state_dict)
    assert sorted(conversion.sources.values()) == sorted(f'{prefix}{name}' for name in PADDLE)


def test_a_fused_weight_is_the_source_of_all_its_parts():
    conversion = convert(MIIL)
    fused = 'head.decoder.layers.0.multihead_attn.in_proj_weight'
    parts = [name for name, source in conversion.sources.items() if source == fused]
    assert [conversion.state_dict[name].tolist() for name in parts] == [
        [[0, 1], [2, 3]],
        [[4, 5], [6, 7]],
        [[8, 9], [10, 11]],
    ]
    assert [name.split('.')[-2] for name in parts] == ['query_proj', 'key_proj', 'value_proj']


def test_tensors_are_plain():
    state = {name: torch.from_numpy(value).requires_grad_() for name, value in PADDLE.items()}
    for name, value in convert(state).state_dict.items():
        assert value.is_contiguous() and not value.requires_grad, name
    half = {name: value.astype(np.float16) for name, value in PADDLE.items()}
    assert convert(half).state_dict['head.fc.bias'].dtype == torch.float16


def test_counters_are_skipped():
    counter = {'body.conv1.1.num_batches_tracked': torch.tensor(7)}
    conversion = convert(MIIL | counter)
    assert conversion.skipped == tuple(counter)
    assert conversion.state_dict.keys() == convert(MIIL).state_dict.keys()


def test_unknown_names_are_listed():
    names = [f'extra{i}.weight' for i in range(12)]
    message = rf'^12 of {len(PADDLE) + 12} names .* paddleclas: {", ".join(names[:10])}, \.\.\.$'
    with pytest.raises(ValueError, match=message):
        convert(PADDLE | {name: np.zeros(1) for name in names})


@pytest.mark.parametrize('content', [{}, {'a.weight': 0}, {3: 4}, {'a.weight': torch.ones(1)}])
def test_unknown_family(content):
    for checkpoint in (content, dict(state_dict=content)):
        with pytest.raises(ValueError, match=r'not those of PaddleClas|holds .*no weights'):
            convert(checkpoint)


def test_same_weight_twice():
    state = MIIL | {'head.decoder.query_embed.weight': torch.zeros(2, 2)}
    state['head.query_embed.weight'] = torch.zeros(2, 2)
    with pytest.raises(ValueError, match=r'are the same weight, head\.decoder\.queries'):
        convert(state)


def test_values_that_are_no_tensors():
    with pytest.raises(ValueError, match=r'body\.conv1\.1\.bias is a str, not an array or tensor'):
        convert(MIIL | {'body.conv1.1.bias': 'text'})


def test_our_own_checkpoints_are_not_recognised():
    model, host = small_model(), MODELS.build(dict(type='ResNet', depth=18))
    for module in (model, model.backbone, model.head, host):
        assert family_of(module.state_dict()) is None
    assert family_of(to_checkpoint(convert(PADDLE), 'a')['state_dict']) is None


def test_checkpoint_is_plain_data(tmp_path):
    names = {0: 'cat', 1: 'dog'}
    conversion = convert(dict(model=MIIL, idx_to_class=names))
    checkpoint = to_checkpoint(conversion, 'miil://some_name')
    path = tmp_path / 'converted.pth'
    torch.save(checkpoint, path)
    loaded = torch.load(path, weights_only=True)  # no allow-list
    assert loaded['meta'] == dict(
        converted=dict(source='miil://some_name', family='miil', skipped=[]),
        dataset_meta=dict(classes=['cat', 'dog']),
    )
    assert_equal(loaded['state_dict'], conversion.state_dict)
    assert load_weights_only(path)['meta'] == loaded['meta']
    assert path.stat().st_size < 4 * sum(v.numel() for v in MIIL.values()) + 8192
    assert to_checkpoint(convert(PADDLE), 'a')['meta'].keys() == {'converted'}
