import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from mmpretrain.registry import MODELS
from sklearn.metrics import average_precision_score
from tiny_run import build_runner, read, read_log, write_tiny_config

from mmpretrain_mldecoder.engine import DualEMAHook


class Recorder(Hook):
    """Keeps the tensors before the first step, raw and averaged ones after each, and metrics."""

    priority = 'LOWEST'

    def __init__(self):
        self.start, self.raw, self.ema, self.metrics = {}, [], [], []

    def before_train(self, runner):
        self.start = {k: v.clone() for k, v in runner.model.state_dict().items()}

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        hook = next(hook for hook in runner.hooks if isinstance(hook, DualEMAHook))
        for kept, model in ((self.raw, runner.model), (self.ema, hook.ema_model.module)):
            kept.append({k: v.clone() for k, v in model.state_dict().items()})

    def after_val_epoch(self, runner, metrics=None):
        self.metrics.append(dict(metrics))


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A config, its work dir after a training, what was recorded, and a test right after it."""
    folder = tmp_path_factory.mktemp('ema')
    config = write_tiny_config(folder)
    runner = build_runner(config, folder / 'run')
    recorder = Recorder()
    runner.register_hook(recorder)
    runner.train()
    return config, folder / 'run', recorder, runner.test()


def test_averages_parameters_and_buffers(trained):
    recorder = trained[2]
    expected = recorder.start
    for raw, ema in zip(recorder.raw, recorder.ema, strict=True):
        expected = {
            k: 0.7 * expected[k] + 0.3 * raw[k] if raw[k].is_floating_point() else expected[k]
            for k in raw
        }
        # float32, a handful of updates
        torch.testing.assert_close(ema, expected, rtol=1e-5, atol=1e-6)
    assert not torch.equal(raw['backbone.bn1.running_mean'], ema['backbone.bn1.running_mean'])


def _map(runner, state_dict) -> float:
    """Percent of a plain model with these weights, by scikit-learn."""
    model = MODELS.build(runner.cfg.model)
    model.load_state_dict(state_dict)
    model.eval()
    with torch.no_grad():
        samples = [s for batch in runner.val_dataloader for s in model.val_step(batch)]
    scores = np.array([s.pred_score.numpy() for s in samples])
    targets = np.zeros_like(scores)
    for row, sample in zip(targets, samples, strict=True):
        row[sample.gt_label.numpy()] = 1
    used = targets.any(axis=0)
    return 100 * np.mean(
        [average_precision_score(targets[:, c], scores[:, c]) for c in np.flatnonzero(used)]
    )


def test_best_checkpoint_holds_the_weights_that_scored(trained, tmp_path):
    config, work_dir, recorder, _ = trained
    runner = build_runner(config, tmp_path)
    best = max(recorder.metrics, key=lambda metrics: metrics['coco/mAP'])
    (path,) = work_dir.glob('best_coco_mAP_epoch_*.pth')
    checkpoint = read(path)
    raw = {k[len('module.') :]: v for k, v in checkpoint['ema_state_dict'].items() if '.' in k}
    assert _map(runner, checkpoint['state_dict']) == pytest.approx(best['coco/mAP'])
    assert _map(runner, raw) == pytest.approx(best['coco/mAP_raw'])
    assert best['coco/mAP'] != best['coco/mAP_raw']


def test_test_after_training_keeps_the_averages(trained):
    _, work_dir, recorder, tested = trained
    assert tested == recorder.metrics[-1]
    assert read_log(work_dir).count('coco/mAP_raw: ') == 4  # 3 validations, 1 test


@pytest.mark.parametrize('bare', [False, True])
def test_checkpoint_with_one_set_of_weights(trained, tmp_path, bare):
    config, work_dir, recorder, _ = trained
    state_dict = read(work_dir / 'epoch_3.pth')['state_dict']
    path = tmp_path / 'published.pth'
    torch.save(state_dict if bare else dict(state_dict=state_dict), path)
    metrics = build_runner(config, tmp_path, load_from=str(path)).test()
    assert metrics == {'coco/mAP': recorder.metrics[-1]['coco/mAP']}
    hooks = [dict(type='DualEMAHook', test_weights='raw')]
    with pytest.raises(ValueError, match='no raw weights'):
        build_runner(config, tmp_path, load_from=str(path), custom_hooks=hooks).test()


def test_fine_tuning_starts_both_from_the_averages(trained, tmp_path):
    config, work_dir, _, _ = trained
    checkpoint = work_dir / 'epoch_3.pth'
    options = {'train_cfg.max_epochs': 1, 'param_scheduler': None, 'optim_wrapper.optimizer.lr': 0}
    runner = build_runner(config, tmp_path, load_from=str(checkpoint), **options)
    recorder = Recorder()
    runner.register_hook(recorder)
    runner.train()
    start = read(checkpoint)['state_dict']
    for name, _ in runner.model.named_parameters():  # a rate of 0 leaves parameters alone
        assert torch.equal(recorder.raw[0][name], start[name])
        assert torch.equal(recorder.ema[0][name], start[name])


def test_arguments_out_of_range():
    with pytest.raises(ValueError, match=r'decay must be in \(0, 1\), but got 1.0'):
        DualEMAHook(decay=1.0)
    with pytest.raises(ValueError, match=r"test_weights must be 'ema', 'raw' or None.*'best'"):
        DualEMAHook(test_weights='best')
