import copy

import pytest
import torch
from classifiers import classifier_of
from mmpretrain.structures import DataSample
from tiny_run import assert_same_training, build_runner, read, write_tiny_config
from torch import nn
from torch.nn.utils import convert_conv2d_weight_memory_format

# What would magnify the rounding: Adam's steps of size lr, whatever the gradient, and batch norms
# over few values.
CALM = {
    'optim_wrapper.optimizer.eps': 0.01,
    'model.backbone.type': 'ResNetVd',
    'model.backbone.norm_eval': True,
}
CHANNELS_LAST = dict(channels_last=True)
RESNET = dict(type='ResNetVd', depth=50, stem_channels=8, base_channels=8)
VIT = dict(type='VisionTransformer', arch='deit-t', img_size=64, out_type='featmap')


def _is_channels_last(tensor) -> bool:
    return tensor.is_contiguous(memory_format=torch.channels_last)


def _classifier(backbone: dict, in_channels: int) -> nn.Module:
    torch.manual_seed(0)
    return classifier_of(backbone, 5, in_channels, 'MLDecoderHead', embed_dims=16, drop_rate=0.0)


@pytest.mark.parametrize(('backbone', 'in_channels'), [(RESNET, 256), (VIT, 192)])
def test_same_loss_and_gradients(float64, backbone, in_channels):
    plain = _classifier(backbone, in_channels)
    converted = copy.deepcopy(plain)
    convert_conv2d_weight_memory_format(converted, torch.channels_last)
    images = torch.rand(2, 3, 64, 64)
    samples = [DataSample().set_gt_score(torch.eye(5)[i]) for i in range(2)]
    losses = []
    for model in (plain, converted):
        losses.append(model(images, samples, mode='loss')['loss'])
        losses[-1].backward()
    # Sums are taken in another order, and the batch norms of 2 x 2 maps magnify that; half of the
    # digits of float64 are left to it.
    torch.testing.assert_close(*losses, rtol=1e-8, atol=0)
    expected = dict(plain.named_parameters())
    for name, parameter in converted.named_parameters():
        gradient = expected[name].grad
        if gradient is not None and 'key_proj.bias' not in name:  # that one is 0 but for rounding
            apart = (parameter.grad - gradient).norm() / gradient.norm()
            assert apart < 1e-8, f'{name}: {apart}'


def test_maps_stay_in_channels_last():
    model = _classifier(RESNET, 256)
    convert_conv2d_weight_memory_format(model, torch.channels_last)
    orders = []
    for module in model.backbone.modules():
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d | nn.AvgPool2d | nn.MaxPool2d):
            module.register_forward_hook(lambda m, x, y: orders.append(_is_channels_last(y)))
    model(torch.rand(2, 3, 64, 64))
    assert len(orders) > 100 and all(orders)


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A config and the work dir of an unbroken training without channels-last."""
    folder = tmp_path_factory.mktemp('channels_last')
    config = write_tiny_config(folder)
    build_runner(config, folder / 'run', **CALM).train()
    return config, folder / 'run'


def _assert_near(path, expected):
    """Compare all tensors that a training resumes from, and look at their order in the file."""
    one, other = (
        [file['state_dict'], file['ema_state_dict'], *file['optimizer']['state'].values()]
        for file in (read(path), read(expected))
    )
    torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)  # 9 steps in float32
    assert all(value.is_contiguous() for tensors in one for value in tensors.values())


def test_training_is_the_same_within_rounding(trained, tmp_path):
    config, run = trained
    runner = build_runner(config, tmp_path, **CALM, **CHANNELS_LAST)
    runner.train()
    _assert_near(tmp_path / 'epoch_3.pth', run / 'epoch_3.pth')
    for parameter, state in runner.optim_wrapper.optimizer.state.items():
        assert state['exp_avg'].stride() == parameter.stride()
    convolutions = [m.weight for m in runner.model.modules() if isinstance(m, nn.Conv2d)]
    assert convolutions and all(map(_is_channels_last, convolutions))
    assert not all(weight.is_contiguous() for weight in convolutions)


@pytest.mark.parametrize('fused', [False, True])
def test_resumes_from_either_order(trained, tmp_path, fused):
    config, run = trained
    options = CALM | {'optim_wrapper.optimizer.fused': fused}
    start = dict(resume=True, load_from=str(run / 'epoch_1.pth'))
    build_runner(config, tmp_path / 'a', **start, **options, **CHANNELS_LAST).train()
    _assert_near(tmp_path / 'a' / 'epoch_3.pth', run / 'epoch_3.pth')
    # and back
    start = dict(resume=True, load_from=str(tmp_path / 'a' / 'epoch_2.pth'))
    build_runner(config, tmp_path / 'b', **start, **options).train()
    _assert_near(tmp_path / 'b' / 'epoch_3.pth', run / 'epoch_3.pth')
    # in its own order a training ends as the unbroken one, to the last bit
    build_runner(config, tmp_path / 'c', **start, **options, **CHANNELS_LAST).train()
    assert_same_training(tmp_path / 'c' / 'epoch_3.pth', tmp_path / 'a' / 'epoch_3.pth')


def test_test_uses_it_too(trained, tmp_path):
    config, run = trained
    checkpoint = CALM | dict(load_from=str(run / 'epoch_3.pth'))
    runner = build_runner(config, tmp_path, **checkpoint, **CHANNELS_LAST)
    assert runner.test() == pytest.approx(build_runner(config, tmp_path, **checkpoint).test())
    assert _is_channels_last(runner.model.backbone.layer1[0].conv1.weight)


@pytest.mark.skipif(torch.cuda.is_available(), reason='a fault of the CPU')
def test_narrow_strided_convolution_stays_as_it_is(trained, tmp_path):
    runner = build_runner(trained[0], tmp_path, **CHANNELS_LAST)
    assert runner.model.backbone.layer1[0].conv1.weight.is_contiguous()
    (log,) = tmp_path.glob('*/*.log')
    assert 'channels_last is ignored' in log.read_text()
