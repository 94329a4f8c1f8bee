"""Oracles: timm's own conversion of the published names, its TResNet and its ML-Decoder."""

import functools

import pytest
import torch
from classifiers import classifier_of
from published_names import published_list, random_arrays

from mmpretrain_mldecoder.checkpoints.conversion import convert

timm = pytest.importorskip('timm')
from timm.layers.ml_decoder import MLDecoder as PublishedMLDecoder  # noqa: E402
from timm.models.tresnet import checkpoint_filter_fn  # noqa: E402

BACKBONES = {
    'm': dict(model_name='tresnet_m'),
    'l': dict(model_name='tresnet_v2_l'),
    'xl': dict(model_name='tresnet_v2_l', layers=(3, 8, 34, 5)),
}
# Published list: TResNet, classes, queries.
PUBLISHED = {
    'tresnet_m_coco_224': ('m', 80, 80),
    'tresnet_l_coco_448': ('l', 80, 80),
    'tresnet_xl_coco_640': ('xl', 80, 80),
    'tresnet_m_open_images_9605_200groups': ('m', 9605, 200),
}


def build(size, num_classes, num_groups, device='cpu'):
    backbone = dict(type='TIMMBackbone', **BACKBONES[size])
    with torch.device(device):
        return classifier_of(backbone, num_classes, 2048, 'MLDecoderHead', num_groups=num_groups)


@functools.cache
def tresnet_m() -> dict[str, torch.Tensor]:
    """Random weights under the names of the published TResNet-M with 4 queries for 10 classes."""
    head = 'head.decoder'
    shapes = published_list('miil_tresnet_m_coco_224') | {
        f'{head}.query_embed.weight': (4, 768),
        f'{head}.duplicate_pooling': (4, 768, 3),
        f'{head}.duplicate_pooling_bias': (10,),
    }
    return {name: torch.from_numpy(array) for name, array in random_arrays(shapes).items()}


@pytest.mark.parametrize('name', PUBLISHED)
def test_names_map_strictly(name):
    shapes = published_list(f'miil_{name}')
    # Names and shapes only: no memory for the tensors of the XL.
    state = {name: torch.empty(shape, device='meta') for name, shape in shapes.items()}
    conversion = convert(dict(model=state))
    assert conversion.family == 'miil'
    assert set(conversion.sources.values()) == set(shapes)
    assert conversion.skipped == ()
    model = build(*PUBLISHED[name], device='meta')
    model.load_state_dict(conversion.state_dict, strict=True, assign=True)


@pytest.mark.parametrize('nested', [True, False], ids=['published', 'first version'])
def test_logits_equal_timm(nested):
    published = tresnet_m()
    backbone = timm.create_model('tresnet_m', num_classes=0, global_pool='')
    body = {name: value for name, value in published.items() if name.startswith('body.')}
    backbone.load_state_dict(checkpoint_filter_fn(body, backbone), strict=False)
    head = PublishedMLDecoder(10, num_of_groups=4)
    # torch's stock container reads self_attn of its layers since 2.1, which the authors' lacks.
    head.decoder.forward = head.decoder.layers[0].forward
    # timm keeps all but the layers outside of "decoder", as the authors' first version did.
    flat = {
        name.removeprefix('head.') if '.layers.' in name else name.removeprefix('head.decoder.'): v
        for name, v in published.items()
        if name.startswith('head.')
    }
    head.load_state_dict(flat, strict=True)
    if not nested:
        published = body | {f'head.{name}': value for name, value in flat.items()}

    model = build('m', 10, 4)
    model.load_state_dict(convert(published).state_dict, strict=True)
    images = torch.rand(2, 3, 64, 96)
    with torch.no_grad():
        features = backbone.eval()(images)
        model.eval()
        (ours,) = model.extract_feat(images)
        assert torch.equal(ours, features)  # the same modules, with the same weights
        logits, expected = model(images), head.eval()(features)
    # float32: only the order of the sums differs.
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)
    assert expected.std() > 0.1


def test_class_names_are_in_the_order_of_the_outputs():
    body = {'body.conv1.0.weight': torch.zeros(1)}
    for keys in (int, str):
        names = {keys(i): f'class {i}' for i in (2, 0, 10, 1, 3, 4, 5, 6, 7, 8, 9)}
        conversion = convert(dict(model=body, idx_to_class=names))
        assert conversion.classes == tuple(f'class {i}' for i in range(11))
    assert convert(dict(model=body)).classes is None
    # Other keys number nothing: the authors' infer.py reads the names in the order of the file.
    assert convert(dict(model=body, idx_to_class={18: 'dog', 3: 'car'})).classes == ('dog', 'car')


@pytest.mark.parametrize(
    'name', ['body.conv1.2.weight', 'body.layer1.0.se.fc3.weight', 'head.decoder.norm.weight',
             'head.decoder.layers.0.norm4.weight', 'neck.weight'],
)  # fmt: skip
def test_unknown_name(name):
    with pytest.raises(ValueError, match=f'^1 of 2 names are unknown in a network of miil: {name}'):
        convert({'body.conv1.0.weight': torch.zeros(1), name: torch.zeros(1)})
