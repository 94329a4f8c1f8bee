import pytest
import torch
from classifiers import classifier_of
from published_names import paddleclas_ml_decoder, paddleclas_resnet, random_arrays
from torch import nn

from mmpretrain_mldecoder.checkpoints import convert
from mmpretrain_mldecoder.checkpoints.fit import drop_surplus_outputs, load, load_whole
from mmpretrain_mldecoder.errors import WeightsMismatchError

WIDTH = 4


def test_every_kind_of_mismatch():
    module = nn.ModuleDict(dict(a=nn.Linear(2, 3), b=nn.BatchNorm1d(2)))
    state = {
        'a.weight': torch.zeros(3, 4),
        'a.in_weight': torch.zeros(1),
        'b.weight': torch.zeros(2),
        'b.running_var': torch.zeros(2),
        'c.weight': torch.zeros(1),
    }
    mismatch = load(module, state, 'w.pth')
    assert mismatch.missing == ('a.bias', 'b.bias', 'b.running_mean')  # num_batches_tracked is not
    assert mismatch.misshaped == {'a.weight': ((3, 4), (3, 2))}
    assert mismatch.left_over == ('a.in_weight',) and mismatch.foreign == ('c.weight',)
    assert str(mismatch) == (
        '3 missing (a.bias, b.bias, b.running_mean); 1 of another shape (a.weight: (3, 4) in the '
        'file, (3, 2) in the model); 1 left over (a.in_weight)'
    )
    assert str(load(module, module.state_dict(), 'w.pth')) == ''


def decoder_model(num_classes: int, num_groups: int) -> nn.Module:
    backbone = dict(type='ResNetVd', depth=18, stem_channels=WIDTH, base_channels=WIDTH)
    sizes = dict(num_groups=num_groups, embed_dims=8, num_heads=2, feedforward_channels=16)
    return classifier_of(backbone, num_classes, WIDTH * 8, 'MLDecoderHead', **sizes)


def decoder_shapes(num_queries: int, group_size: int) -> dict:
    shapes = paddleclas_resnet(18, True, WIDTH)
    return shapes | paddleclas_ml_decoder(WIDTH * 8, num_queries, group_size, 8, 16)


def test_surplus_outputs_are_dropped():
    # 10 classes for 4 queries: 3 outputs each, the last two unused.
    state = convert(random_arrays(decoder_shapes(4, 3))).state_dict
    model = decoder_model(10, 4)
    with pytest.raises(RuntimeError, match=r'group_linear\.bias'):
        model.load_state_dict(state)
    name = 'head.decoder.group_linear.bias'
    model.load_state_dict(drop_surplus_outputs(model, state), strict=True)
    assert torch.equal(model.head.decoder.group_linear.bias, state[name][:10])
    assert len(state[name]) == 12


@pytest.mark.parametrize(
    'model', [decoder_model(8, 4), decoder_model(12, 4), decoder_model(13, 4), nn.Linear(2, 2)]
)
def test_nothing_to_drop(model):
    """2, 3 or 4 outputs for each query, and a model without an ML-Decoder."""
    state = convert(random_arrays(decoder_shapes(4, 3))).state_dict
    assert drop_surplus_outputs(model, state) is state
    state = convert(random_arrays(paddleclas_resnet(18, True, WIDTH))).state_dict
    assert drop_surplus_outputs(model, state) is state


RESNET = dict(type='ResNet', depth=18, stem_channels=WIDTH, base_channels=WIDTH)


@pytest.mark.parametrize(
    ('change', 'hint'),
    [
        (dict(num_classes=2), r'set model\.head\.num_classes \(and num_groups'),
        (dict(head='MLDecoderHead'), r'another head \(head\.fc\.weight, .*config that they were'),
        (dict(backbone=dict(RESNET, depth=34)), 'More than the head .*config that it was trained'),
        (dict(backbone=dict(RESNET, depth=34), num_classes=2), 'More than the head differs'),
        (None, r'no head\. A test needs the weights of the whole model.*init_cfg\.checkpoint'),
    ],
    ids=str,
)
def test_what_to_do_about_weights_of_another_model_in_a_test(change, hint):
    trained = dict(backbone=RESNET, num_classes=3, in_channels=WIDTH * 8)
    state = classifier_of(**trained).state_dict()
    if change is None:
        state = {name: value for name, value in state.items() if name.startswith('backbone.')}
    with pytest.raises(WeightsMismatchError, match=rf'^w\.pth does not fit .*{hint}'):
        load_whole(classifier_of(**trained | (change or {})), state, 'w.pth')
