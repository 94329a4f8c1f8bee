import errno
import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from mmengine.hooks import Hook
from tiny_run import build_runner, write_tiny_config

from mmpretrain_mldecoder.engine.runners import work_dir as module
from mmpretrain_mldecoder.engine.runners.work_dir import claim_timestamp, lock_work_dir
from mmpretrain_mldecoder.errors import WorkDirInUseError


def is_locked(work_dir) -> bool:
    try:
        lock_work_dir(work_dir).close()
    except WorkDirInUseError:
        return True
    return False


def test_error_names_the_holder(tmp_path):
    lock = lock_work_dir(tmp_path)
    assert is_locked(tmp_path)
    holder = rf'another training is running in {tmp_path} \(host .+, pid {os.getpid()}, since 2'
    with pytest.raises(WorkDirInUseError, match=holder):
        lock_work_dir(tmp_path)
    lock.close()
    assert not is_locked(tmp_path)


def test_forked_child_neither_holds_nor_releases_it(tmp_path):
    lock = lock_work_dir(tmp_path)
    is_there, tell = os.pipe()
    child = os.fork()
    if not child:
        os.write(tell, b'x')
        time.sleep(60)
        os._exit(0)
    try:
        os.read(is_there, 1)
        assert is_locked(tmp_path)
        lock.close()
        assert not is_locked(tmp_path)  # with the child alive
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)


def test_file_system_without_locks(tmp_path, monkeypatch):
    def flock(file, operation):
        raise OSError(errno.ENOTSUP, 'no locks')

    monkeypatch.setattr(module.fcntl, 'flock', flock)
    assert lock_work_dir(tmp_path) is None


def _content(folder):
    return {path: path.is_file() and path.read_bytes() for path in folder.rglob('*')}


class TrainThereToo(Hook):
    """Start the same training in the middle of the training."""

    def __init__(self, config, work_dir):
        self.arguments, self.message = (config, work_dir), None

    def after_train_epoch(self, runner):
        if runner.epoch == 0:
            before = _content(self.arguments[1])
            runner = build_runner(*self.arguments, **{'optim_wrapper.optimizer.lr': 0.125})
            with pytest.raises(WorkDirInUseError) as caught:
                runner.train()
            self.message = str(caught.value)
            assert _content(self.arguments[1]) == before


def test_one_training_at_a_time(tmp_path):
    config, work_dir = write_tiny_config(tmp_path), tmp_path / 'run'
    runner = build_runner(config, work_dir, **{'train_cfg.max_epochs': 1})
    hook = TrainThereToo(config, work_dir)
    runner.register_hook(hook)
    runner.train()
    assert f'another training is running in {work_dir} (host' in hook.message
    assert not is_locked(work_dir)


def test_each_run_gets_a_timestamp_of_its_own(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        claimed = list(pool.map(lambda _: claim_timestamp(tmp_path, '20231231_235958'), range(8)))
    assert sorted(claimed) == sorted(path.name for path in tmp_path.iterdir())
    assert sorted(claimed)[:3] == ['20231231_235958', '20231231_235959', '20240101_000000']
    assert len(set(claimed)) == 8
