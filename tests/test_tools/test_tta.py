import json
import pickle

import numpy as np
import pytest
import torch
from tiny_run import ROOT, free_port, load_tool, read_log, run, write_tiny_config

run_train, run_test = load_tool('train'), load_tool('test')

FLIP = "dict(type='RandomFlip', prob={}, direction='horizontal')"
IDENTITY = """
tta_pipeline = [test_pipeline[0], dict(type='TestTimeAug', transforms=[
    [step] for step in test_pipeline[1:]])]
"""
FLIPPED = f"test_dataloader['dataset']['pipeline'].insert(2, {FLIP.format(1.0)})\n"
BY_SIZE = "test_evaluator = dict(type='MultiLabelMAP', by_size=True, with_f1=True)\n"


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A folder with a config and a checkpoint of averaged and raw weights."""
    folder = tmp_path_factory.mktemp('tta')
    config = write_tiny_config(folder, "train_cfg['max_epochs'] = 2\n" + BY_SIZE)
    run_train(config, '--work-dir', folder)
    return config, folder / 'epoch_2.pth'


def variant(trained, tmp_path, more: str):
    """The same config with more lines."""
    path = tmp_path / 'variant.py'
    path.write_text(trained[0].read_text() + more)
    return path


def outcome(config, checkpoint, tmp_path, *options) -> tuple[dict, list[dict]]:
    """Test, and return the metrics and the dumped samples."""
    out, work_dir = tmp_path / 'out.pkl', tmp_path / ('tta' if '--tta' in options else 'plain')
    metrics = run_test(config, checkpoint, '--out', out, '--work-dir', work_dir, *options)
    return metrics, pickle.loads(out.read_bytes())


def stacked(samples: list[dict], key: str = 'pred_score') -> torch.Tensor:
    return torch.stack([sample[key] for sample in samples])


def test_identity_is_the_plain_test(trained, tmp_path):
    config, checkpoint = trained
    plain, plain_samples = outcome(config, checkpoint, tmp_path)
    identity = variant(trained, tmp_path, IDENTITY)
    metrics, samples = outcome(identity, checkpoint, tmp_path, '--tta')
    assert {'coco/mAP', 'coco/mAP_raw', 'coco/mAP_small'} <= plain.keys()
    assert metrics == pytest.approx(plain, rel=0, abs=0, nan_ok=True)
    for key in ('pred_score', 'pred_score_raw'):
        assert torch.equal(stacked(samples, key), stacked(plain_samples, key))


@pytest.mark.parametrize('weights', [None, 'ema', 'raw'])
def test_flips_are_the_mean_of_two_tests(trained, tmp_path, weights):
    config, checkpoint = trained
    choice = ['--weights', weights] if weights else []
    _, plain = outcome(config, checkpoint, tmp_path, *choice)
    _, flipped = outcome(variant(trained, tmp_path, FLIPPED), checkpoint, tmp_path, *choice)
    metrics, samples = outcome(config, checkpoint, tmp_path, *choice, '--tta')
    for key in ('pred_score', *(['pred_score_raw'] if weights is None else [])):
        expected = (stacked(plain, key) + stacked(flipped, key)) / 2
        assert not torch.equal(stacked(plain, key), stacked(flipped, key))
        # another order of adding two float32 numbers below 1
        torch.testing.assert_close(stacked(samples, key), expected, rtol=0, atol=1e-7)
    for one, other in zip(samples, plain, strict=True):
        assert one['img_path'] == other['img_path']
        assert torch.equal(one['gt_label'], other['gt_label'])
        expected = torch.where(one['pred_score'] >= 0.5)[0]
        assert torch.equal(one['pred_label'], expected)
        np.testing.assert_array_equal(one['instance_areas'], other['instance_areas'])
    assert metrics.keys() >= {'coco/mAP', 'coco/mAP_small', 'coco/OF1'}
    tests = [json.loads(path.read_text()) for path in (tmp_path / 'tta').glob('test_*.json')]
    assert [(test['tta'], test['images']) for test in tests] == [(True, 7)]
    assert 'scores averaged over (RandomFlip(prob=0.0' in read_log(tmp_path / 'tta')


@pytest.mark.faults
def test_two_processes_print_the_same(trained, tmp_path):
    _, checkpoint = trained
    config = variant(trained, tmp_path, 'channels_last = True\n')
    metrics = run_test(config, checkpoint, '--tta', '--work-dir', tmp_path / 'one')
    script = ROOT / 'tools' / 'dist_test.sh'
    options = ['--tta', '--work-dir', tmp_path / 'two']
    printed = run('bash', script, config, checkpoint, 2, *options, PORT=free_port())
    for name in ('coco/mAP', 'coco/mAP_raw', 'coco/mAP_small'):
        assert f'{name}: {metrics[name]:.4f}' in printed
