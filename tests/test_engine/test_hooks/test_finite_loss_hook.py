import json

import pytest
import torch
from fault_parts import BreakWeight, Spoil
from tiny_run import build_runner, read, write_tiny_config

from mmpretrain_mldecoder.engine.distributed import RankVote
from mmpretrain_mldecoder.errors import RunError


def _runner(folder, *spoilt: int, **options):
    runner = build_runner(write_tiny_config(folder), folder / 'run', **options)
    runner.register_hook(Spoil(spoilt))
    return runner


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_ends_at_the_step_and_names_the_images(tmp_path, value):
    runner = _runner(tmp_path)
    runner.register_hook(Spoil([4], value))
    with pytest.raises(RunError, match=r'loss is (nan|inf) at iteration 5 \(epoch 2\)') as caught:
        runner.train()
    (file,) = (tmp_path / 'run').glob('nonfinite_loss_*_iter_5.json')
    assert str(file) in str(caught.value)
    content = json.loads(file.read_text())
    assert (content['iteration'], content['epoch']) == (5, 2)
    (batch,) = content['batches']
    names = [path.rpartition('/')[2] for path in batch['images']]
    assert len(names) == 4 and set(names) <= {f'{i:012d}.jpg' for i in range(12)}
    # the epoch before is the last thing kept
    kept = sorted(path.name for path in (tmp_path / 'run').glob('*.pth'))
    assert kept == ['best_coco_mAP_epoch_1.pth', 'epoch_1.pth']


def test_steps_are_left_out_up_to_the_limit_and_counted_through_a_resume(tmp_path):
    with_limit = {'optim_wrapper.max_skips': 2}
    runner = _runner(tmp_path, 1, 4, **with_limit)
    runner.train()
    assert runner.iter == 9
    assert len(list((tmp_path / 'run').glob('nonfinite_loss_*.json'))) == 2
    checkpoint = read(tmp_path / 'run' / 'epoch_3.pth')
    for part in ('state_dict', 'ema_state_dict'):
        assert all(v.isfinite().all() for v in checkpoint[part].values() if v.is_floating_point())
    # one of the two came before epoch 1 ended: a run that is resumed there may skip one more
    resumed = _runner(
        tmp_path, 5, 7, resume=True, load_from=str(tmp_path / 'run' / 'epoch_1.pth'), **with_limit
    )
    with pytest.raises(RunError, match=r'iteration 8 .*for the 3\. time: .*max_skips is 2'):
        resumed.train()


@pytest.mark.parametrize('options', [{}, {'optim_wrapper.max_skips': 1}])
def test_one_vote_a_step_is_enough(tmp_path, monkeypatch, options):
    votes, ask = [], RankVote.any
    monkeypatch.setattr(RankVote, 'any', lambda self, flag: votes.append(self) or ask(self, flag))
    without_validation = {'train_cfg.max_epochs': 1, 'train_cfg.val_begin': 9}
    runner = _runner(tmp_path, **without_validation, **options)
    runner.train()
    assert len(votes) == runner.iter == 3
    assert len(set(votes)) == 1


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_no_checkpoint_of_weights_that_are_not_finite(tmp_path, value):
    runner = _runner(tmp_path)
    runner.register_hook(BreakWeight(value=value))
    message = r'backbone\.conv1\.weight is not finite .* 6, .* from the one before .*clip_grad'
    with pytest.raises(RunError, match=message):
        runner.train()
    assert not (tmp_path / 'run' / 'epoch_2.pth').exists()


def test_a_buffer_may_be_infinite(tmp_path):
    runner = _runner(tmp_path, max_epochs=1)
    runner.model.register_buffer('mask', torch.tensor([0.0, float('-inf')]))
    hook = next(hook for hook in runner.hooks if type(hook).__name__ == 'FiniteLossHook')
    hook.before_save_checkpoint(runner, dict(state_dict=runner.model.state_dict()))
