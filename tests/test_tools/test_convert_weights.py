"""The tool, and apis/convert_weights.py, on files with the published names and random weights."""

import importlib.util
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_coco import write_coco
from mmengine.config import Config
from published_names import paddleclas_fc, paddleclas_ml_decoder, paddleclas_resnet, random_arrays
from web_server import Answer, serve

from mmpretrain_mldecoder.apis import MultiLabelInferencer
from mmpretrain_mldecoder.apis.convert_weights import convert_weights
from mmpretrain_mldecoder.checkpoints import load_weights_only

ROOT = Path(__file__).parents[2]
SPEC = importlib.util.spec_from_file_location('convert_tool', ROOT / 'tools/convert_weights.py')
TOOL = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(TOOL)


@pytest.fixture(scope='module')
def ml_decoder_file(tmp_path_factory) -> Path:
    """ResNet18_vd with 4 queries for 4 classes, as PaddleClas saves it."""
    shapes = paddleclas_resnet(18, vd=True) | paddleclas_ml_decoder(512, 4, dims=16, hidden=32)
    path = tmp_path_factory.mktemp('paddle') / 'model.pdparams'
    path.write_bytes(pickle.dumps(random_arrays(shapes), 4))
    return path


def write_config(tmp_path: Path, depth: int = 18, num_classes: int = 4) -> Path:
    root = write_coco(tmp_path / 'coco', dict(val=4))
    path = tmp_path / 'r18vd.py'
    path.write_text(
        f"""
custom_imports = dict(imports=['mmpretrain_mldecoder'], allow_failed_imports=False)
default_scope = 'mmpretrain'
model = dict(
    type='ImageClassifier',
    backbone=dict(type='ResNetVd', depth={depth}),
    head=dict(
        type='MLDecoderHead', num_classes={num_classes}, in_channels=512, embed_dims=16,
        num_heads=8, feedforward_channels=32,
    ),
)
data_preprocessor = dict(num_classes={num_classes}, mean=[0, 0, 0], std=[255, 255, 255])
test_dataloader = dict(dataset=dict(
    type='COCOMultiLabel', data_root={str(root)!r}, data_prefix='val2017',
    ann_file='annotations/instances_val2017.json',
    pipeline=[dict(type='LoadImageFromFile'), dict(type='SquareResize', scale=64),
              dict(type='PackInputs')],
))
"""
    )
    return path


def test_output_is_a_checkpoint_of_ours(ml_decoder_file, tmp_path, capsys):
    config, out = write_config(tmp_path), tmp_path / 'out' / 'ours.pth'
    TOOL.main([str(ml_decoder_file), str(out), '--config', str(config)])

    lines = capsys.readouterr().out.splitlines()
    theirs = pickle.loads(ml_decoder_file.read_bytes())
    assert len(lines) == len(theirs) + 1
    columns = [re.match(r'(\S+) +->  (\S+) +\((.*)\)$', line) for line in lines[:-1]]
    assert {match[1] for match in columns} == set(theirs)
    assert len({line.index('->') for line in lines[:-1]}) == 1  # aligned
    assert lines[-1].endswith(f'of paddleclas, 4 class names; they fill {config} exactly')

    checkpoint = load_weights_only(out)
    converted = checkpoint['meta']['converted']
    assert (converted['source'], converted['family']) == (str(ml_decoder_file), 'paddleclas')
    assert converted['file'] == 'model.pdparams' and len(converted['sha256']) == 64
    name = 'fc.decoder.layers.0.linear1.weight'
    ours = checkpoint['state_dict']['head.decoder.layers.0.ffn_in.weight']
    np.testing.assert_array_equal(ours, theirs[name].T)

    # the tools take it: strict loading, and the names of the classes come along
    cfg = Config.fromfile(config)
    cfg.test_dataloader.dataset.pop('ann_file')
    inferencer = MultiLabelInferencer(cfg, out, device='cpu')
    assert list(inferencer.classes) == ['ant', 'bee', 'cat', 'dog']


def test_backbone_only(ml_decoder_file, tmp_path, capsys):
    config, out = write_config(tmp_path, num_classes=3), tmp_path / 'backbone.pth'
    TOOL.main([str(ml_decoder_file), str(out), '--config', str(config), '--backbone-only'])
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].endswith(f'no class names; they fill the backbone of {config} exactly')
    assert len([line for line in lines if line.endswith('->  not used')]) == 23
    names = load_weights_only(out)['state_dict']
    assert names and all(name.startswith('backbone.') for name in names)


def test_surplus_outputs_are_cut(tmp_path):
    # 3 queries for 4 classes: Paddle stores 6 outputs, the model has 4
    shapes = paddleclas_resnet(18, vd=True) | paddleclas_ml_decoder(512, 3, 2, dims=16, hidden=32)
    arrays = random_arrays(shapes)
    (tmp_path / 'model.pdparams').write_bytes(pickle.dumps(arrays, 4))
    cfg = Config.fromfile(write_config(tmp_path))
    cfg.model.head.num_groups = 3
    made = convert_weights(str(tmp_path / 'model.pdparams'), tmp_path / 'ours.pth', cfg)
    bias = made.state_dict['head.decoder.group_linear.bias']
    np.testing.assert_array_equal(bias, arrays['fc.group_conv.bias'][:4])


@pytest.mark.parametrize(
    ('options', 'parts'),
    [
        (
            dict(num_classes=5),
            [
                'another shape: head.decoder.group_linear.bias is (4,) in the file and (5,)',
                'model.head.num_classes',
                '--backbone-only',
            ],
        ),
        (
            dict(depth=34),
            ['missing in the file: backbone.layer1.2.conv1.weight', 'Name the config of the'],
        ),
    ],
)
def test_every_name_that_does_not_fit_is_listed(ml_decoder_file, tmp_path, capsys, options, parts):
    config, out = write_config(tmp_path, **options), tmp_path / 'ours.pth'
    with pytest.raises(SystemExit) as error:
        TOOL.main([str(ml_decoder_file), str(out), '--config', str(config)])
    assert error.value.code == 2
    printed = capsys.readouterr().err
    count = int(re.search(r'does not fit .*r18vd.py, (\d+) names', printed)[1])
    kinds = r'^  (missing in the file|another shape|left over in the file): '
    assert len(re.findall(kinds, printed, re.M)) == count
    assert all(part in printed for part in parts), printed
    assert list(tmp_path.glob('*.pth')) == []


def test_left_over_names_are_listed(tmp_path, capsys):
    shapes = paddleclas_resnet(34, vd=True) | paddleclas_ml_decoder(512, 4, dims=16, hidden=32)
    (tmp_path / 'model.pdparams').write_bytes(pickle.dumps(random_arrays(shapes), 4))
    with pytest.raises(SystemExit):
        config = write_config(tmp_path)
        TOOL.main(
            [str(tmp_path / 'model.pdparams'), str(tmp_path / 'o.pth'), '--config', str(config)]
        )
    printed = capsys.readouterr().err
    assert (
        'left over in the file: blocks.2.conv0.conv.weight (backbone.layer1.2.conv1.weight)'
        in printed
    )


@pytest.mark.parametrize(
    ('name', 'content', 'match'),
    [
        ('page.pdparams', b'<!DOCTYPE html><html>403</html>', 'page.pdparams'),
        ('cut.pdparams', pickle.dumps({'fc.bias': np.ones(3)}, 4)[:-9], 'cut.pdparams'),
        ('evil.pdparams', pickle.dumps({'fc.bias': print}, 4), r'builtins.print'),
        ('other.pdparams', pickle.dumps({'encoder.w': np.ones(3)}, 4), 'encoder.w'),
    ],
)
def test_bad_file(tmp_path, capsys, name, content, match):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SystemExit):
        TOOL.main([str(tmp_path / name), str(tmp_path / 'ours.pth')])
    assert re.search(match, capsys.readouterr().err)
    assert not (tmp_path / 'ours.pth').exists()


def test_linear_head_and_classes_of_imagenet(tmp_path):
    shapes = paddleclas_resnet(50, vd=True) | paddleclas_fc(2048, 1000)
    (tmp_path / 'r50vd.pdparams').write_bytes(pickle.dumps(random_arrays(shapes), 4))
    config = ROOT / 'configs/imagenet/r50vd_in1k.py'
    made = convert_weights(str(tmp_path / 'r50vd.pdparams'), tmp_path / 'ours.pth', config)
    assert len(made.classes) == 1000 and made.classes[1].startswith('goldfish')
    assert torch.equal(
        load_weights_only(tmp_path / 'ours.pth')['state_dict']['head.fc.bias'],
        made.state_dict['head.fc.bias'],
    )


def test_an_address_is_downloaded_and_an_unknown_scheme_is_no_file(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    shapes = paddleclas_resnet(18, vd=True) | paddleclas_fc(512, 3)
    with serve() as server:
        server.answers['/r18vd.pdparams'] = Answer(pickle.dumps(random_arrays(shapes), 4))
        TOOL.main([f'{server.url}/r18vd.pdparams', str(tmp_path / 'ours.pth')])
    assert (tmp_path / 'ours.pth').is_file()
    with pytest.raises(SystemExit):
        TOOL.main(['paddle://ResNet18_vd', str(tmp_path / 'no.pth')])
    assert 'no checkpoint at' in capsys.readouterr().err
