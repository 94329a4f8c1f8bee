"""A training that several tests of the runner start from."""

from pathlib import Path

import pytest
from tiny_run import build_runner, write_tiny_config


@pytest.fixture(scope='module')
def unseeded(tmp_path_factory) -> tuple[Path, Path]:
    """A config and its work folder after an unbroken training whose seed was drawn."""
    folder = tmp_path_factory.mktemp('runner')
    config = write_tiny_config(folder, "randomness = dict(seed=None)\nrunner_type = 'x'\n")
    build_runner(config, folder / 'run').train()
    return config, folder / 'run'
