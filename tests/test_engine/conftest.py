"""Trainings that several tests of the engine start from, each with its config and work dir."""

from pathlib import Path

import pytest
from tiny_run import ITERATIONS, WORKER, build_runner, write_tiny_config


def trained(folder: Path, more: str = '') -> tuple[Path, Path]:
    config = write_tiny_config(folder, more)
    build_runner(config, folder / 'run').train()
    return config, folder / 'run'


@pytest.fixture(scope='session')
def by_epoch(tmp_path_factory) -> tuple[Path, Path]:
    """3 epochs of 3 steps, with images from a worker."""
    return trained(tmp_path_factory.mktemp('by_epoch'), WORKER)


@pytest.fixture(scope='session')
def by_iteration(tmp_path_factory) -> tuple[Path, Path]:
    """8 iterations, with images from a worker."""
    return trained(tmp_path_factory.mktemp('by_iteration'), ITERATIONS + WORKER)


@pytest.fixture(scope='session')
def unseeded(tmp_path_factory) -> tuple[Path, Path]:
    """3 epochs of 3 steps, with a seed that was drawn."""
    more = "randomness = dict(seed=None)\nrunner_type = 'x'\n"
    return trained(tmp_path_factory.mktemp('unseeded'), more)
