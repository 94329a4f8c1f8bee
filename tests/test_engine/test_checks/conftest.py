from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from fault_parts import Stop, StopHook
from tiny_run import build_runner, write_tiny_config


@pytest.fixture(scope='session')
def folder(tmp_path_factory) -> Path:
    """A folder with the tiny config and its dataset."""
    folder = tmp_path_factory.mktemp('checks')
    write_tiny_config(folder)
    return folder


@pytest.fixture(scope='session')
def write_config(folder) -> Callable[[str], Path]:
    """What writes the tiny config with more lines."""
    numbers = count()

    def write(lines: str = '') -> Path:
        path = folder / f'config{next(numbers)}.py'
        path.write_text((folder / 'tiny.py').read_text() + lines)
        return path

    return write


@pytest.fixture
def start(write_config, tmp_path, caplog) -> Iterator[Callable[..., str]]:
    """What begins a training, up to its first step, and returns what was logged."""

    def begin(lines: str = '', **options) -> str:
        runner = build_runner(write_config(lines), tmp_path, **options)
        runner.logger.addHandler(caplog.handler)
        runner.register_hook(StopHook(), priority='LOWEST')
        caplog.clear()
        with pytest.raises(Stop):
            runner.train()
        return '\n'.join(record.getMessage() for record in caplog.records)

    yield begin
    assert not list(tmp_path.glob('*.pth'))
