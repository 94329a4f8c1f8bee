"""Kills are in tests/faults/test_killed_training.py; here the order of events, step by step."""

import errno
import math
import shutil
from pathlib import Path

import pytest
from mmengine.evaluator import BaseMetric
from mmengine.fileio import LocalBackend
from mmpretrain.registry import METRICS
from tiny_run import build_runner, read, write_tiny_config

from mmpretrain_mldecoder.errors import RunError
from mmpretrain_mldecoder.fileio.atomic_write import atomic_write


@METRICS.register_module()
class GivenScores(BaseMetric):
    """The score of each epoch, from a list."""

    default_prefix = 'given'
    runner = None

    def __init__(self, scores: list[float]):
        super().__init__()
        self.scores = scores

    def process(self, data_batch, data_samples):
        self.results.append(0)

    def compute_metrics(self, results):
        score = self.scores[GivenScores.runner.epoch - 1]
        return dict(acc=score, top=-score)


@pytest.fixture
def train(tmp_path):
    """A function that trains 3 epochs of one step and returns the runner."""
    config = write_tiny_config(tmp_path)

    def run(scores=(1.0, 2.0, 3.0), work_dir=tmp_path / 'run', checkpoint=None, **options):
        checkpoint = dict(max_keep_ckpts=1, save_best='given/acc') | (checkpoint or {})
        hook = dict(type='CheckpointHook', interval=1, **checkpoint)
        metric = dict(type='GivenScores', scores=list(scores))
        options = {
            'default_hooks.checkpoint': hook,
            'val_evaluator': metric,
            'train_dataloader.dataset.indices': 2,
            'val_dataloader.dataset.indices': 1,
        } | options
        runner = GivenScores.runner = build_runner(config, work_dir, **options)
        runner.train()
        return runner

    return run


@pytest.fixture
def files_at_save(monkeypatch):
    """The names in the folder, and what last_checkpoint names, when each file gets its bytes."""
    events, put = [], LocalBackend.put

    def recording_put(self, content, path):
        folder = Path(path).parent
        names = {file.name for file in folder.glob('[!.]*.pth')}
        pointer = folder / 'last_checkpoint'
        last = Path(pointer.read_text()).name if pointer.exists() else None
        events.append((names, last))
        put(self, content, path)

    monkeypatch.setattr(LocalBackend, 'put', recording_put)
    return events


def _names(folder):
    return {path.name for path in folder.glob('*.pth')}


def _fail_at(monkeypatch, part, error):
    """Raise in the middle of writing a file whose name has ``part``."""
    put = LocalBackend.put

    def put_half(self, content, path):
        if part in path:
            Path(path).write_bytes(bytes(content)[:1000])
            raise error
        put(self, content, path)

    monkeypatch.setattr(LocalBackend, 'put', put_half)


def test_new_file_is_complete_before_an_old_one_is_removed(train, files_at_save, tmp_path):
    train()
    best = 'best_given_acc_epoch_{}.pth'.format
    assert files_at_save == [
        (set(), None),
        ({'epoch_1.pth'}, 'epoch_1.pth'),  # the best of epoch 1 is saved
        ({'epoch_1.pth', best(1)}, 'epoch_1.pth'),  # its record is
        ({'epoch_1.pth', best(1)}, 'epoch_1.pth'),  # epoch 2 is
        ({'epoch_2.pth', best(1)}, 'epoch_2.pth'),
        ({'epoch_2.pth', best(1), best(2)}, 'epoch_2.pth'),
        ({'epoch_2.pth', best(2)}, 'epoch_2.pth'),
        ({'epoch_3.pth', best(2)}, 'epoch_3.pth'),
        ({'epoch_3.pth', best(2), best(3)}, 'epoch_3.pth'),
    ]
    assert _names(tmp_path / 'run') == {'epoch_3.pth', best(3)}
    assert Path((tmp_path / 'run' / 'last_checkpoint').read_text()) == tmp_path / 'run/epoch_3.pth'


@pytest.mark.parametrize('part', ['epoch_2.pth', 'best_given_acc_epoch_2.pth'])
def test_interrupted_save_leaves_the_earlier_files(train, tmp_path, monkeypatch, part):
    _fail_at(monkeypatch, part, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        train()
    last = 1 if part.startswith('epoch') else 2
    run = tmp_path / 'run'
    assert _names(run) == {f'epoch_{last}.pth', 'best_given_acc_epoch_1.pth'}
    assert Path((run / 'last_checkpoint').read_text()).name == f'epoch_{last}.pth'
    for path in run.glob('*.pth'):
        read(path)


@pytest.mark.parametrize(
    ('save_best', 'scores'),
    [('given/acc', (1.0, 2.0, 3.0)), (['given/acc', 'given/top'], (2.0, 1.0, 3.0))],
)
def test_resumed_run_has_the_files_and_records_of_the_unbroken(train, tmp_path, save_best, scores):
    # Resumed after epoch 2 and its validation, with what the killed run left.
    checkpoint = dict(max_keep_ckpts=2, save_best=save_best, rule='greater')
    options = dict(scores=scores, checkpoint=checkpoint)
    unbroken, broken = tmp_path / 'unbroken', tmp_path / 'broken'
    train(work_dir=unbroken, **options)
    train(work_dir=broken, **options, **{'train_cfg.max_epochs': 2})
    train(work_dir=broken, **options, resume=True)
    assert _names(broken) == _names(unbroken)

    def record(folder):
        info = read(folder / 'epoch_3.pth')['message_hub']['runtime_info'].items()
        return {k: str(v).replace(str(folder), '') for k, v in info if 'ckpt' in k or 'best' in k}

    assert record(broken) == record(unbroken)
    assert {'last_ckpt', 'keep_ckpt_ids', 'former_best_ckpts'} <= record(unbroken).keys()
    assert [key for key in record(unbroken) if key.startswith('best_ckpt')]


@pytest.mark.parametrize('last_removed', ['epoch_1.pth', 'best_given_acc_epoch_1.pth'])
def test_leftovers_of_a_killed_run_are_removed_on_resume(
    train, tmp_path, monkeypatch, last_removed
):
    run, best = tmp_path / 'run', 'best_given_acc_epoch_{}.pth'.format

    remove = LocalBackend.remove

    def stop(self, path):
        if Path(path).name == last_removed:
            raise KeyboardInterrupt
        remove(self, path)

    with monkeypatch.context() as patch:
        patch.setattr(LocalBackend, 'remove', stop)
        with pytest.raises(KeyboardInterrupt):
            train()
    left = {'epoch_1.pth', best(1)} if last_removed == 'epoch_1.pth' else {best(1), best(2)}
    assert _names(run) == {'epoch_2.pth'} | left
    others = {'epoch_7.pth', 'best_given_acc_epoch_7.pth', 'best_given_top_epoch_1.pth', 'mine.pth'}
    for name in others:
        shutil.copy(run / 'epoch_2.pth', run / name)
    train(resume=True)
    assert _names(run) == {'epoch_3.pth', best(3)} | others


def test_resuming_a_copy_leaves_the_original(train, tmp_path):
    original, copy = tmp_path / 'run', tmp_path / 'copy'
    train(**{'train_cfg.max_epochs': 2})
    names = _names(original)
    shutil.copytree(original, copy)
    train(work_dir=copy, resume=True)
    assert _names(original) == names == {'epoch_2.pth', 'best_given_acc_epoch_2.pth'}
    assert _names(copy) == {'epoch_3.pth', 'best_given_acc_epoch_3.pth'}
    info = read(copy / 'epoch_3.pth')['message_hub']['runtime_info']
    assert info['best_ckpt'] == str(copy / 'best_given_acc_epoch_3.pth')


def test_nan_is_never_the_best(train, tmp_path):
    runner = train(scores=(math.nan, 0.1, math.nan))
    assert _names(tmp_path / 'run') == {'epoch_3.pth', 'best_given_acc_epoch_2.pth'}
    assert runner.message_hub.get_info('best_score') == 0.1


def test_record_of_another_score_does_not_count(train, tmp_path):
    train(**{'train_cfg.max_epochs': 2})  # given/acc is 1 and 2, given/top -1 and -2
    other = dict(save_best='given/top', rule='greater')
    runner = train(resume=True, checkpoint=other)
    assert runner.message_hub.get_info('best_score') == -3.0
    best = {'best_given_acc_epoch_2.pth', 'best_given_top_epoch_3.pth'}
    assert _names(tmp_path / 'run') == {'epoch_3.pth'} | best


def test_failed_write_is_a_run_error(train, tmp_path, monkeypatch):
    _fail_at(monkeypatch, 'epoch_2.pth', OSError(errno.EDQUOT, 'no more'))
    with pytest.raises(RunError, match=r'run/epoch_2.pth cannot be written: no more. The earlier'):
        train()
    assert _names(tmp_path / 'run') == {'epoch_1.pth', 'best_given_acc_epoch_1.pth'}
    assert not list((tmp_path / 'run').glob('.*.tmp'))
    assert Path((tmp_path / 'run/last_checkpoint').read_text()).name == 'epoch_1.pth'


def test_stale_files_of_this_run_only(train, tmp_path):
    run = tmp_path / 'run'
    run.mkdir()
    stale, other = run / '.epoch_1.pth.0123456789abcdef.tmp', run / '.notes.tmp'
    stale.touch(), other.touch()
    with atomic_write(run / 'epoch_9.pth') as alive:  # another program's
        train(**{'train_cfg.max_epochs': 1})
        assert alive.exists() and other.exists() and not stale.exists()


def test_a_score_that_a_validation_cannot_compute_is_never_the_best(tmp_path):
    options = {
        'train_cfg.max_epochs': 1,
        'val_evaluator.by_size': True,
        'default_hooks.checkpoint.save_best': 'coco/mAP_large',  # no object is large
    }
    build_runner(write_tiny_config(tmp_path), tmp_path / 'run', **options).train()
    assert not list((tmp_path / 'run').glob('best*'))


@pytest.mark.parametrize('save_best', ['coco/mAP', ['coco/mAP', 'coco/mAP_small']])
def test_a_validation_alone_saves_nothing(tmp_path, save_best):
    checkpoint = dict(type='CheckpointHook', save_best=save_best, rule='greater')
    options = {'default_hooks.checkpoint': checkpoint, 'val_evaluator.by_size': True}
    runner = build_runner(write_tiny_config(tmp_path), tmp_path / 'run', **options)
    assert runner.val()['coco/mAP'] > 0
    assert not list(tmp_path.rglob('*.pth'))
