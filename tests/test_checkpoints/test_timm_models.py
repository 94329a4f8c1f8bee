"""Oracle: timm's own models, whose weights are saved to a file under a published name."""

import logging
import os

import pytest
import torch
from classifiers import classifier_of
from mmengine.runner import CheckpointLoader
from mmpretrain.registry import MODELS

from mmpretrain_mldecoder.checkpoints import find_published, pretrained_init
from mmpretrain_mldecoder.checkpoints.fit import load_whole
from mmpretrain_mldecoder.errors import WeightsMismatchError

timm = pytest.importorskip('timm')


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """``weights(name)``: a file of timm's model with random weights, where it is looked for."""
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'home'))
    monkeypatch.setenv('MLDECODER_WEIGHTS', str(tmp_path))

    def save(name: str, **options: object) -> torch.nn.Module:
        torch.manual_seed(0)
        model = timm.create_model(name, **options).eval()
        with torch.no_grad():
            for key, value in model.state_dict().items():
                if key.endswith('running_var'):
                    value.uniform_(0.5, 1.5)
                elif value.is_floating_point() and value.dim() < 2:
                    value.add_(0.1 * torch.randn_like(value))
        torch.save(model.state_dict(), tmp_path / f'{name}.pth')
        return model

    return save


def backbone(name: str, kind: str = 'TIMMBackbone', **options: object) -> torch.nn.Module:
    init_cfg = dict(type='Pretrained', checkpoint=f'timm://{name}')
    own = dict(model_name=name.partition('.')[0], init_cfg=init_cfg)
    return MODELS.build(dict(type=kind) | own | options)


KINDS = [
    'convnext_atto.d2_in1k',
    'vit_tiny_patch16_224.augreg_in21k_ft_in1k',
    'eva02_tiny_patch14_224.mim_in22k',  # without a classifier
    'hgnetv2_b0.ssld_stage2_ft_in1k',
    'levit_128s.fb_dist_in1k',  # two classifiers
    'seresnet50.a1_in1k',  # of torchvision's names, but more
]


@pytest.mark.parametrize('name', KINDS)
def test_backbone_gets_all_weights(weights, name, tmp_path):
    """By name, and as a file of one's own; of the file only the classifiers are not used."""
    theirs = weights(name)
    state = theirs.state_dict()
    for checkpoint in (f'timm://{name}', str(tmp_path / f'{name}.pth')):
        ours = backbone(name)
        ours.init_cfg['checkpoint'] = checkpoint
        ours.init_weights()
        held = ours.timm_model.state_dict()
        for key, value in held.items():
            assert torch.equal(value, state[key]), key
    classifiers = theirs.pretrained_cfg['classifier'] or ()
    classifiers = (classifiers,) if isinstance(classifiers, str) else classifiers
    # levit: head.linear and, before it, head.bn
    places = tuple(place.removesuffix('.linear') for place in classifiers)
    assert all(key.startswith(places) for key in state.keys() - held.keys())


def test_own_file_of_another_network(weights, tmp_path):
    """CLIP's norm ahead of the blocks is no classifier, though here an identity is in its place."""
    theirs = weights('vit_tiny_patch16_224.augreg_in21k_ft_in1k').state_dict()
    theirs['norm_pre.weight'] = theirs['norm_pre.bias'] = torch.ones(192)
    torch.save(theirs, tmp_path / 'clip.pth')
    ours = backbone('vit_tiny_patch16_224.augreg_in21k_ft_in1k')
    ours.init_cfg['checkpoint'] = str(tmp_path / 'clip.pth')
    with pytest.raises(
        WeightsMismatchError, match=r'left over \(norm_pre\.weight, norm_pre\.bias\)'
    ):
        ours.init_weights()


@pytest.mark.parametrize('name', ['test_vit.r160_in1k', 'test_convnext.r160_in1k'])
def test_weights_without_the_classifier(weights, name):
    """A published name serves them, and no other number of classes."""
    theirs = weights(name, num_classes=0).state_dict()
    ours = backbone(name)
    ours.init_weights()
    for key, value in ours.timm_model.state_dict().items():
        assert torch.equal(value, theirs[key]), key
    weights(name, num_classes=7)
    with pytest.raises(ValueError, match='size mismatch for head'):
        backbone(name).init_weights()


@pytest.mark.parametrize(
    ('name', 'channels'),
    [
        ('tf_efficientnet_lite0.in1k', 1280),
        ('regnety_002.pycls_in1k', 368),
        ('swin_tiny_patch4_window7_224.ms_in1k', 768),
    ],
)
def test_classifier_after_the_pool(weights, name, channels):
    theirs = weights(name)
    cfg = dict(type='TIMMFeatureMap', model_name=name.partition('.')[0])
    model = classifier_of(cfg, 1000, channels).eval()
    checkpoint = CheckpointLoader.load_checkpoint(f'timm://{name}', 'cpu', logger='silent')
    load_whole(model, checkpoint, name)
    images = torch.rand(2, 3, 224, 224)
    with torch.no_grad():
        torch.testing.assert_close(model(images), theirs(images), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('name', ['convnext_atto.d2_in1k', 'hgnetv2_b0.ssld_stage2_ft_in1k'])
def test_classifier_after_other_layers_is_no_linear_head(weights, name):
    weights(name)
    checkpoint = CheckpointLoader.load_checkpoint(f'timm://{name}', 'cpu', logger='silent')
    assert not any(key.startswith('head.') for key in checkpoint['state_dict'])
    assert 'head.fc.weight' in checkpoint['meta']['converted']['skipped']


def test_positions_of_another_size(weights):
    name = 'vit_tiny_patch16_224.augreg_in21k_ft_in1k'
    theirs = weights(name)
    ours = backbone(name, 'TIMMFeatureMap', img_size=96)
    ours.init_weights()
    assert ours.timm_model.pos_embed.shape == (1, 1 + 36, 192)
    assert torch.equal(ours.timm_model.cls_token, theirs.cls_token)
    with pytest.raises(WeightsMismatchError, match='pos_embed'):
        backbone(name, img_size=96).init_weights()


def test_tables_of_a_window_that_is_no_square(tmp_path):
    kind = dict(type='TIMMFeatureMap', model_name='beit_base_patch16_224')
    small = dict(depth=1, embed_dim=16, num_heads=2)
    torch.save(
        MODELS.build(kind | small | dict(img_size=(64, 96))).state_dict(), tmp_path / 'a.pth'
    )
    init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'a.pth'))
    with pytest.raises(WeightsMismatchError, match=r'a\.pth cannot be loaded into the Beit: '):
        MODELS.build(kind | small | dict(img_size=64, init_cfg=init_cfg)).init_weights()


def test_weights_of_another_model(weights, tmp_path):
    weights('convnext_atto.d2_in1k')
    os.rename(tmp_path / 'convnext_atto.d2_in1k.pth', tmp_path / 'convnext_femto.d1_in1k.pth')
    with pytest.raises(ValueError, match=r"convnext_femto\.d1_in1k cannot .*timm's convnext_femto"):
        backbone('convnext_femto.d1_in1k').init_weights()


def test_another_depth_of_the_model(weights):
    weights('convnext_atto.d2_in1k')
    with pytest.raises(WeightsMismatchError, match='stages'):
        backbone('convnext_atto.d2_in1k', depths=(2, 2, 5, 2)).init_weights()


def test_hub_cache_is_looked_in(tmp_path, weights, monkeypatch):
    hub = pytest.importorskip('huggingface_hub')
    name = 'vit_tiny_patch16_224.augreg_in21k_ft_in1k'
    path = tmp_path / 'cached.safetensors'
    path.touch()

    def cached(repository: str, file: str):
        return str(path) if (repository, file) == (f'timm/{name}', 'model.safetensors') else None

    monkeypatch.setattr(hub, 'try_to_load_from_cache', cached)
    assert find_published(f'timm://{name}') == path
    weights(name)  # into MLDECODER_WEIGHTS, which comes first
    assert find_published(f'timm://{name}') == tmp_path / f'{name}.pth'


def test_a_file_keeps_the_name_of_its_address(tmp_path, monkeypatch):
    monkeypatch.setenv('MLDECODER_WEIGHTS', str(tmp_path))
    path = tmp_path / 'gcvit_xxtiny_224_nvidia-d1d86009.pth'
    path.touch()
    assert find_published('timm://gcvit_xxtiny.in1k') == path


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('convnext_tiny', r'near: convnext_tiny\.'),  # which of its weights?
        ('convnext_tiny.FB_in1k', r'near: convnext_tiny\.fb_in1k'),
        ('nonsense', r'list_pretrained'),
    ],
)
def test_unknown_name(weights, name, message):
    with pytest.raises(ValueError, match=message):
        find_published(f'timm://{name}')


def test_weights_of_a_network_with_the_same_shapes_are_a_warning(weights, monkeypatch):
    """PyTorch's padding in place of TensorFlow's: no shape differs."""
    name, said = 'tf_efficientnet_lite0.in1k', []
    weights(name)
    monkeypatch.setattr(pretrained_init, 'print_log', lambda *args: said.append((args[0], args[2])))
    for model_name in ('tf_efficientnet_lite0', 'efficientnet_lite0'):
        ours = backbone(name, model_name=model_name)
        ours.init_weights()
    right, wrong = said
    assert right[1] == logging.INFO
    assert 'model_name' not in right[0]
    assert wrong[1] == logging.WARNING
    assert "set model_name to 'tf_efficientnet_lite0'" in wrong[0]
