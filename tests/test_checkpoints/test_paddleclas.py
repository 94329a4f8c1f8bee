import numpy as np
import pytest
from classifiers import classifier_of
from published_names import (
    BLOCKS,
    paddleclas_fc,
    paddleclas_ml_decoder,
    paddleclas_resnet,
    published_list,
    random_arrays,
)
from tiny_run import assert_equal

from mmpretrain_mldecoder.checkpoints.conversion import convert, recognise

WIDTH = 8


def resnet(depth, vd, width=64):
    widths = dict(stem_channels=width, base_channels=width)
    return dict(type='ResNetVd' if vd else 'ResNet', depth=depth, **widths)


# ---- names; test_recorded_models.py compares values


@pytest.mark.parametrize(
    'name', ['ResNet50', 'ResNet50_vd', 'ResNet50_ml_decoder', 'ResNet50_vd_ml_decoder']
)
def test_published_lists_map_strictly(name):
    vd, has_decoder = '_vd' in name, 'decoder' in name
    shapes = published_list(f'paddleclas_{name}')
    other = paddleclas_ml_decoder(2048, 80) if has_decoder else paddleclas_fc(2048, 1000)
    assert shapes == paddleclas_resnet(50, vd) | other

    arrays = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    conversion = convert(arrays)
    assert conversion.family == 'paddleclas'
    assert sorted(conversion.sources.values()) == sorted(shapes)  # each is used once
    head = (80, 2048, 'MLDecoderHead') if has_decoder else (1000, 2048)
    model = classifier_of(resnet(50, vd), *head)
    model.load_state_dict(conversion.state_dict, strict=True)


@pytest.mark.parametrize('vd', [False, True], ids=['vb', 'vd'])
@pytest.mark.parametrize('depth', BLOCKS)
def test_all_depths_map_strictly(depth, vd):
    out_channels = WIDTH * (32 if depth >= 50 else 8)
    shapes = paddleclas_resnet(depth, vd, WIDTH) | paddleclas_fc(out_channels, 5)
    conversion = convert(random_arrays(shapes))
    assert sorted(conversion.sources.values()) == sorted(shapes)
    if depth == 200 and not vd:
        return  # the host's ResNet has no such depth
    model = classifier_of(resnet(depth, vd, WIDTH), 5, out_channels)
    result = model.load_state_dict(conversion.state_dict, strict=False)
    left_over = set()
    if depth < 50 and not vd:
        left_over = {name for name in conversion.sources if 'layer1.0.downsample' in name}
        assert len(left_over) == 5
    assert result.missing_keys == []
    assert set(result.unexpected_keys) == left_over


# ---- other files of PaddleClas


def test_student_of_a_distillation():
    student = random_arrays(paddleclas_resnet(18, True, WIDTH) | paddleclas_fc(64, 5), seed=1)
    teacher = random_arrays(paddleclas_resnet(50, True, WIDTH) | paddleclas_fc(256, 5), seed=2)
    whole = {f'Teacher.{name}': value for name, value in teacher.items()}
    whole |= {f'Student.{name}': value for name, value in student.items()}
    conversion = convert(whole)
    assert_equal(conversion.state_dict, convert(student).state_dict)
    assert conversion.sources['head.fc.bias'] == 'Student.fc.bias'
    assert set(conversion.skipped) == {f'Teacher.{name}' for name in teacher}


def test_names_of_paddleclas_2_0():
    """Its class ResNet_vd: conv1_1 to conv1_3, bb_STAGE_BLOCK, out; inside, _conv, _batch_norm."""
    arrays = random_arrays(paddleclas_resnet(34, True, WIDTH) | paddleclas_fc(64, 5))
    places = [f'bb_{stage}_{i}' for stage, n in enumerate(BLOCKS[34]) for i in range(n)]
    older = {}
    for name, value in arrays.items():
        name = name.replace('.conv.', '._conv.').replace('.bn.', '._batch_norm.')
        for number, place in reversed(list(enumerate(places))):
            name = name.replace(f'blocks.{number}.', f'{place}.')
        for i in range(3):
            name = name.replace(f'stem.{i}.', f'conv1_{i + 1}.')
        older[name.replace('fc.', 'out.')] = value
    assert {'conv1_3._batch_norm._variance', 'bb_3_2.conv1._conv.weight', 'out.bias'} <= {*older}
    assert recognise(older) == 'paddleclas'
    conversion = convert(older)
    source = conversion.sources['backbone.layer2.0.downsample.1.weight']
    assert source == 'bb_1_0.short._conv.weight'
    assert_equal(conversion.state_dict, convert(arrays).state_dict)


def test_self_attention_is_refused():
    shapes = paddleclas_resnet(18, True, WIDTH) | paddleclas_ml_decoder(64, 4, dims=16, hidden=24)
    shapes['fc.decoder.layers.1.self_attn.q_proj.weight'] = (16, 16)
    with pytest.raises(ValueError, match=r'fc\.decoder\.layers\.1\.self_attn.*heads of depth 1'):
        convert(random_arrays(shapes))


@pytest.mark.parametrize('number', [5, 7])
def test_missing_block(number):
    arrays = random_arrays(paddleclas_resnet(18, True, WIDTH))
    arrays = {k: v for k, v in arrays.items() if not k.startswith(f'blocks.{number}.')}
    with pytest.raises(ValueError, match=r'7 blocks, up to number .* are no ResNet'):
        convert(arrays)


@pytest.mark.parametrize(
    'name',
    ['blocks.0.conv9.conv.weight', 'blocks.0.se.bn.weight', 'stem.0.bn._median', 'fc.norm.bias',
     'fc.decoder.layers.0.linear3.weight', 'head.weight', 'blocks.0.conv0.weight'],
)  # fmt: skip
def test_unknown_name(name):
    arrays = random_arrays(paddleclas_resnet(18, True, WIDTH))
    arrays[name] = np.zeros(1, np.float32)
    with pytest.raises(ValueError, match=f'^1 of {len(arrays)} names are unknown.*: {name}$'):
        convert(arrays)


def test_other_networks_of_paddle_are_not_recognised():
    assert recognise({'conv1.weight': 0, 'blocks.0.conv0.conv.weight': 0}) is None
