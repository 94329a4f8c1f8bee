import json
import pickle
from datetime import datetime, timezone
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from tiny_run import ROOT, free_port, load_tool, read, refusal, run, write_tiny_config

from mmpretrain_mldecoder.engine.runners.finished_test import settings_digest

run_train, run_test = load_tool('train'), load_tool('test')


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A config, its checkpoint after two epochs, and what the last validation reported."""
    folder = tmp_path_factory.mktemp('test')
    config = write_tiny_config(folder, "train_cfg['max_epochs'] = 2\n")
    run_train(config, '--work-dir', folder / 'run')
    checkpoint = folder / 'run' / 'epoch_2.pth'
    scalars = read(next((folder / 'run').glob('best_*.pth')))['message_hub']['log_scalars']
    (log,) = (folder / 'run').glob('*/vis_data/scalars.json')
    last = json.loads(log.read_text().splitlines()[-1])
    assert 'val/coco/mAP_raw' in scalars
    return config, checkpoint, {name: last[name] for name in ('coco/mAP', 'coco/mAP_raw')}


def test_leaves_the_config_of_the_training(trained):
    config, checkpoint, _ = trained
    dumped = checkpoint.parent / config.name
    before = dumped.read_text()
    run_test(config, checkpoint, '--work-dir', checkpoint.parent, '--weights', 'raw')
    assert dumped.read_text() == before and "test_weights='raw'" not in before
    (result,) = checkpoint.parent.glob('test_*.json')
    own = checkpoint.parent / result.stem.removeprefix('test_') / 'vis_data' / 'config.py'
    assert "test_weights='raw'" in own.read_text()


def finished(work_dir: Path) -> list[dict]:
    return [json.loads(path.read_text()) for path in work_dir.glob('test_*.json')]


def test_same_number_as_the_last_validation_and_what_the_tables_need(trained, tmp_path):
    config, checkpoint, logged = trained
    before = datetime.now(timezone.utc)
    metrics = run_test(config, checkpoint, '--work-dir', tmp_path)
    assert metrics == pytest.approx(logged, abs=1e-9)
    (written,) = tmp_path.glob('*/*.json')
    written = json.loads(written.read_text())
    assert {name: written[name] for name in logged} == pytest.approx(logged, abs=1e-9)
    (test,) = finished(tmp_path)
    assert test.pop('metrics') == pytest.approx(metrics, abs=1e-12)
    took = datetime.fromisoformat(test.pop('date')) - before
    assert abs(took.total_seconds()) < 60
    assert test.pop('versions')['torch'] == torch.__version__
    assert test == dict(
        config=str(config),
        checkpoint=str(checkpoint),
        weights='ema',
        images=7,
        settings=settings_digest(Config.fromfile(config)),
        tta=False,
    )
    assert not list(tmp_path.glob('.test_*'))


def test_weights_of_others_are_one_set(trained, tmp_path):
    config, checkpoint, _ = trained
    torch.save(dict(state_dict=read(checkpoint)['state_dict']), tmp_path / 'plain.pth')
    run_test(config, tmp_path / 'plain.pth', '--work-dir', tmp_path)
    (test,) = finished(tmp_path)
    assert test['weights'] == 'single'
    assert test['metrics'].keys() == {'coco/mAP'}


def test_weights_and_predictions(trained, tmp_path):
    config, checkpoint, logged = trained
    scores = {}
    for weights in (None, 'ema', 'raw'):
        out, work_dir = tmp_path / f'{weights}.pkl', tmp_path / f'{weights}'
        choice = ['--weights', weights] if weights else []
        metrics = run_test(config, checkpoint, *choice, '--out', out, '--work-dir', work_dir)
        assert [test['weights'] for test in finished(work_dir)] == [weights or 'ema']
        if weights:
            name = 'coco/mAP' if weights == 'ema' else 'coco/mAP_raw'
            assert metrics == {'coco/mAP': pytest.approx(logged[name], abs=1e-9)}
        predictions = pickle.loads(out.read_bytes())
        assert [sample['sample_idx'] for sample in predictions] == list(range(7))
        scores[weights] = torch.stack([sample['pred_score'] for sample in predictions])
        if weights is None:
            beside = torch.stack([sample['pred_score_raw'] for sample in predictions])
        else:
            assert not any('pred_score_raw' in sample for sample in predictions)
    assert torch.equal(beside, scores['raw'])
    assert torch.equal(scores[None], scores['ema'])
    assert not torch.allclose(scores['raw'], scores['ema'])
    assert not list(tmp_path.glob('*.tmp'))


def test_two_processes_print_the_same(trained, tmp_path):
    config, checkpoint, logged = trained
    out, script = tmp_path / 'two.pkl', ROOT / 'tools' / 'dist_test.sh'
    options = ['--work-dir', tmp_path, '--out', out]
    printed = run('bash', script, config, checkpoint, 2, *options, PORT=free_port())
    assert f'coco/mAP: {logged["coco/mAP"]:.4f}' in printed
    assert f'coco/mAP_raw: {logged["coco/mAP_raw"]:.4f}' in printed
    predictions = pickle.loads(out.read_bytes())
    assert [sample['sample_idx'] for sample in predictions] == list(range(7))
    (test,) = finished(tmp_path)
    assert test['images'] == 7
    assert test['metrics'] == pytest.approx(logged, abs=1e-9)


def test_errors_are_short(trained, capsys):
    config, checkpoint, _ = trained
    for arguments, message in (
        ([config, 'absent.pth'], 'no checkpoint at absent.pth'),
        ([config, checkpoint, '--out', 'a.json'], 'must be a pkl file'),
        ([config, checkpoint, '--tta', '--tuned-thresholds'], 'not allowed with'),
    ):
        assert message in refusal(capsys, run_test, *arguments)
