import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_coco import write_coco
from mmengine.config import Config
from published_names import paddleclas_fc, paddleclas_ml_decoder, paddleclas_resnet, random_arrays
from tiny_run import ROOT, load_main, refusal
from web_server import Answer, serve

from mmpretrain_mldecoder.apis import MultiLabelInferencer
from mmpretrain_mldecoder.apis.convert_weights import convert_weights
from mmpretrain_mldecoder.checkpoints import load_weights_only

CONFIG = """
custom_imports = dict(imports=['mmpretrain_mldecoder'], allow_failed_imports=False)
default_scope = 'mmpretrain'
model = dict(
    type='ImageClassifier',
    backbone=dict(type='ResNetVd', depth=18, stem_channels=8, base_channels=8),
    head=dict(
        type='MLDecoderHead', num_classes=4, num_groups=3, in_channels=64, embed_dims=16,
        num_heads=8, feedforward_channels=32,
    ),
)
data_preprocessor = dict(num_classes=4, mean=[0, 0, 0], std=[255, 255, 255])
test_dataloader = dict(dataset=dict(
    type='COCOMultiLabel', data_root={root!r}, data_prefix='val2017',
    ann_file='annotations/instances_val2017.json',
    pipeline=[dict(type='LoadImageFromFile'), dict(type='SquareResize', scale=64),
              dict(type='PackInputs')],
))
"""


def run_tool(*arguments: str | Path) -> None:
    load_main('convert_weights')([*map(str, arguments)])


def save(folder: Path, depth: int = 18) -> Path:
    """A narrow ResNet_vd with 3 queries for 4 classes, of which PaddleClas saves 6 outputs."""
    head = paddleclas_ml_decoder(64, 3, 2, dims=16, hidden=32)
    path = folder / 'model.pdparams'
    path.write_bytes(pickle.dumps(random_arrays(paddleclas_resnet(depth, True, 8) | head), 4))
    return path


@pytest.fixture
def weights(tmp_path) -> Path:
    return save(tmp_path)


@pytest.fixture
def config(tmp_path) -> Path:
    path = tmp_path / 'r18vd.py'
    path.write_text(CONFIG.format(root=str(write_coco(tmp_path / 'coco', dict(val=4)))))
    return path


def test_output_is_a_checkpoint_of_ours(weights, config, tmp_path, capsys):
    out = tmp_path / 'out' / 'ours.pth'
    run_tool(weights, out, '--config', config)

    lines = capsys.readouterr().out.splitlines()
    theirs = pickle.loads(weights.read_bytes())
    assert len(lines) == len(theirs) + 1
    columns = [re.match(r'(\S+) +->  (\S+) +\((.*)\)$', line) for line in lines[:-1]]
    assert {match[1] for match in columns} == set(theirs)
    assert len({line.index('->') for line in lines[:-1]}) == 1  # aligned
    assert lines[-1].endswith(f'of paddleclas, 4 class names; they fill {config} exactly')

    checkpoint = load_weights_only(out)
    converted = checkpoint['meta']['converted']
    assert (converted['source'], converted['family']) == (str(weights), 'paddleclas')
    assert converted['file'] == 'model.pdparams' and len(converted['sha256']) == 64
    ours = checkpoint['state_dict']['head.decoder.layers.0.ffn_in.weight']
    np.testing.assert_array_equal(ours, theirs['fc.decoder.layers.0.linear1.weight'].T)
    bias = checkpoint['state_dict']['head.decoder.group_linear.bias']
    np.testing.assert_array_equal(bias, theirs['fc.group_conv.bias'][:4])

    # the tools take it: strict loading, and the names of the classes come along
    cfg = Config.fromfile(config)
    cfg.test_dataloader.dataset.pop('ann_file')
    inferencer = MultiLabelInferencer(cfg, out, device='cpu')
    assert list(inferencer.classes) == ['ant', 'bee', 'cat', 'dog']


def test_backbone_only(weights, config, tmp_path, capsys):
    config.write_text(config.read_text().replace('num_classes=4', 'num_classes=3'))
    out = tmp_path / 'backbone.pth'
    run_tool(weights, out, '--config', config, '--backbone-only')
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].endswith(f'no class names; they fill the backbone of {config} exactly')
    assert len([line for line in lines if line.endswith('->  not used')]) == 23
    names = load_weights_only(out)['state_dict']
    assert names and all(name.startswith('backbone.') for name in names)


@pytest.mark.parametrize(
    ('depth', 'change', 'kind', 'hint', 'advised'),
    [
        (18, ('num_classes=4', 'num_classes=7'), r'another shape: head\..* is \(6,\) .* and \(7,\)',
         r'Set model\.head\.num_classes.*--backbone-only', ('num_classes=7', 'num_classes=4')),
        (18, ('depth=18', 'depth=34'), r'missing in the file: backbone\.layer1\.2\.conv1\.weight',
         'Name the config of the', ('depth=34', 'depth=18')),
        (34, ('', ''), r'left over .*: blocks\.2\.conv0\.conv\.weight \(backbone\.layer1\.2\.',
         'Name the config of the', ('depth=18', 'depth=34')),
    ],
)  # fmt: skip
def test_every_name_that_does_not_fit_is_listed(
    config, tmp_path, capsys, depth, change, kind, hint, advised
):
    path = save(tmp_path, depth)
    config.write_text(config.read_text().replace(*change))
    printed = refusal(capsys, run_tool, path, tmp_path / 'ours.pth', '--config', config)
    count = int(re.search(r'does not fit .*r18vd.py, (\d+) names', printed)[1])
    kinds = r' (missing in the file|another shape|left over in the file): '
    assert len(re.findall(kinds, printed)) == count
    assert re.search(kind, printed) and re.search(hint, printed), printed
    assert not (tmp_path / 'ours.pth').exists()
    if 'backbone-only' in hint:
        run_tool(path, tmp_path / 'ours.pth', '--config', config, '--backbone-only')
    config.write_text(config.read_text().replace(*advised))
    run_tool(path, tmp_path / 'ours.pth', '--config', config)


@pytest.mark.parametrize(
    ('name', 'content', 'match'),
    [
        ('page.pdparams', b'<!DOCTYPE html><html>403</html>', 'page.pdparams'),
        ('evil.pdparams', pickle.dumps({'fc.bias': print}, 4), 'builtins.print'),
        ('other.pdparams', pickle.dumps({'encoder.w': np.ones(3)}, 4), 'encoder.w'),
    ],
)
def test_bad_file(tmp_path, capsys, name, content, match):
    (tmp_path / name).write_bytes(content)
    assert match in refusal(capsys, run_tool, tmp_path / name, tmp_path / 'ours.pth')
    assert not (tmp_path / 'ours.pth').exists()


def test_linear_head_and_classes_of_imagenet(tmp_path):
    shapes = paddleclas_resnet(50, vd=True) | paddleclas_fc(2048, 1000)
    (tmp_path / 'r50vd.pdparams').write_bytes(pickle.dumps(random_arrays(shapes), 4))
    config = ROOT / 'configs/imagenet/r50vd_in1k.py'
    made = convert_weights(str(tmp_path / 'r50vd.pdparams'), tmp_path / 'ours.pth', config)
    assert len(made.classes) == 1000 and made.classes[1].startswith('goldfish')
    written = load_weights_only(tmp_path / 'ours.pth')['state_dict']['head.fc.bias']
    assert torch.equal(written, made.state_dict['head.fc.bias'])


def test_an_address_is_downloaded_and_an_unknown_scheme_is_no_file(
    weights, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    with serve() as server:
        server.answers['/r18vd.pdparams'] = Answer(weights.read_bytes())
        run_tool(f'{server.url}/r18vd.pdparams', tmp_path / 'ours.pth')
    assert (tmp_path / 'ours.pth').is_file()
    error = refusal(capsys, run_tool, 'paddle://ResNet18_vd', tmp_path / 'no.pth')
    assert 'no checkpoint at' in error
