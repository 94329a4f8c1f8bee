"""What a training starts from, found and checked."""

from pathlib import Path

import pytest
import torch
from tiny_run import assert_same_training, build_runner, read


def _log(work_dir: Path) -> str:
    return ''.join(path.read_text() for path in work_dir.glob('*/*.log'))


@pytest.mark.parametrize('seed', [None, 123])
def test_resume_takes_the_seed_of_the_checkpoint(unseeded, tmp_path, seed):
    config, run = unseeded
    options = {'randomness.seed': seed, 'train_dataloader.num_workers': 0}  # workers: no matter
    checkpoint = str(run / 'epoch_1.pth')
    runner = build_runner(config, tmp_path, resume=True, load_from=checkpoint, **options)
    runner.train()
    assert_same_training(tmp_path / 'epoch_3.pth', run / 'epoch_3.pth')
    warned = "goes on with the checkpoint's seed" in _log(tmp_path)
    assert warned == (seed is not None)
    # the log goes on as well: 9 steps, 3 of them before the resume
    log_scalars = read(tmp_path / 'epoch_3.pth')['message_hub']['log_scalars']
    before = read(run / 'epoch_1.pth')['message_hub']['log_scalars']['train/loss']['values']
    assert len(log_scalars['train/loss']['values']) == 9
    assert torch.equal(log_scalars['train/loss']['values'][:3], before)


def test_resume_does_not_ask_for_the_first_weights_again(unseeded, tmp_path):
    config, run = unseeded
    gone = dict(type='Pretrained', checkpoint=str(tmp_path / 'gone.pth'))
    options = {'model.backbone.init_cfg': gone}
    with pytest.raises(FileNotFoundError, match=r'gone\.pth'):
        build_runner(config, tmp_path / 'anew', **options).train()
    checkpoint = str(run / 'epoch_1.pth')
    build_runner(config, tmp_path, resume=True, load_from=checkpoint, **options).train()
    assert_same_training(tmp_path / 'epoch_3.pth', run / 'epoch_3.pth')


def test_resume_without_a_checkpoint_starts_anew(unseeded, tmp_path):
    runner = build_runner(unseeded[0], tmp_path, resume=True, **{'train_cfg.max_epochs': 1})
    runner.train()
    assert f'Nothing to resume in {tmp_path}' in _log(tmp_path)
    assert read(tmp_path / 'epoch_1.pth')['meta']['iter'] == 3


def test_a_test_that_is_told_to_resume(unseeded, tmp_path):
    config, run = unseeded
    last = str(run / 'epoch_3.pth')
    runner = build_runner(config, tmp_path, resume=True, load_from=last)
    runner.param_schedulers = [runner.param_schedulers]
    assert 'coco/mAP' in runner.test()
