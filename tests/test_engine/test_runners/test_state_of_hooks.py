import pytest
import torch
from mmengine.hooks import EarlyStoppingHook, Hook
from tiny_run import build_runner, write_tiny_config

# A validation in each epoch, whose score cannot rise by so much: the third ends the training.
STOPPING = """
custom_hooks.append(
    dict(type='EarlyStoppingHook', monitor='coco/mAP', rule='greater', min_delta=1000, patience=2))
train_cfg['max_epochs'] = 6
param_scheduler['total_steps'] = 6
default_hooks['checkpoint'].update(save_best=None)
"""


def _train(config, work_dir, **options):
    runner = build_runner(config, work_dir, **options)
    hooks = [hook for hook in runner.hooks if isinstance(hook, EarlyStoppingHook)]
    runner.train()
    return runner.epoch, hooks[0].wait_count, hooks[0].best_score


def test_early_stopping_waits_on_after_a_resume(tmp_path):
    config = write_tiny_config(tmp_path, STOPPING)
    whole = _train(config, tmp_path / 'whole')
    assert whole[0] == 3
    saved = torch.load(tmp_path / 'whole/epoch_2.pth', weights_only=True)['meta']['hooks']
    assert saved == {'EarlyStoppingHook.coco/mAP': dict(wait_count=0, best_score=whole[2])}
    resumed = _train(
        config, tmp_path / 'resumed', resume=True, load_from=str(tmp_path / 'whole/epoch_2.pth')
    )
    assert resumed == whole


def test_early_stopping_has_counted_what_a_best_checkpoint_is_saved_for(tmp_path):
    """The checkpoint is written again after a new best score; no resume validates it once more."""
    best = "default_hooks['checkpoint'].update(save_best='coco/mAP')\n"
    whole = _train(write_tiny_config(tmp_path, STOPPING + best), tmp_path / 'whole')
    saved = torch.load(tmp_path / 'whole/epoch_1.pth', weights_only=True)['meta']['hooks']
    assert saved == {'EarlyStoppingHook.coco/mAP': dict(wait_count=0, best_score=whole[2])}


class Counting(Hook):
    def __init__(self, start: int = 0):
        self.start, self.name, self.best = start, 'counting', 0.0


class Saving(Counting):
    def before_save_checkpoint(self, runner, checkpoint):
        checkpoint['meta']['best'] = self.best


@pytest.mark.parametrize(('hook', 'is_named'), [(Counting, True), (Saving, False)])
def test_hooks_that_lose_their_state_are_named(tmp_path, caplog, hook, is_named):
    """A hint at the start, and a warning at a resume."""
    config = write_tiny_config(tmp_path)
    for resume, level in ((False, 'INFO'), (True, 'WARNING')):
        options = {'train_cfg.max_epochs': 1 + resume, 'param_scheduler': None, 'resume': resume}
        runner = build_runner(config, tmp_path / 'run', **options)
        runner.register_hook(hook())
        runner.logger.addHandler(caplog.handler)
        caplog.clear()
        runner.train()
        lines = [r.levelname for r in caplog.records if 'which a resume' in r.getMessage()]
        assert lines == [level] * is_named
