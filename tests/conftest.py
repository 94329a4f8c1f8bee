"""Fixtures shared by the suite: a small COCO in a temporary folder, and the real photos."""

import gc
import os
from pathlib import Path

import pytest
import torch
from fake_coco import write_coco
from interpreters import interpreters
from yapf.yapflib import yapf_api

torch.set_num_threads(1)


# Before a conftest below imports MMEngine, which formats a config several times for each runner and
# once for each checkpoint.
yapf_api.FormatCode = lambda text, **options: (text + '\n', False)
os.fsync = lambda descriptor: None  # no power fails here


def pytest_collection_finish() -> None:
    """Spare the garbage collector the million objects of the imported libraries."""
    gc.freeze()


@pytest.fixture
def fake_coco(tmp_path) -> Path:
    """A COCO 2017 layout of 12 training and 7 validation images, 4 classes, ~48 px."""
    return write_coco(tmp_path / 'coco', dict(train=12, val=7))


@pytest.fixture(scope='session')
def run_script():
    """What runs a script in an interpreter of its own, and returns what it printed."""
    with interpreters() as run:
        yield run


@pytest.fixture
def hub(request):
    """The hub of a training that has just begun, not that of an earlier test."""
    from mmengine.logging import MessageHub

    name = f'training of {request.node.name}'
    yield MessageHub.get_instance(name)
    del MessageHub._instance_dict[name]


@pytest.fixture
def float64():
    """Make new tensors float64, where the rounding of no processor comes near a tolerance."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture(scope='session')
def shared_data() -> Path:
    """The folder of real photos (coco_tiny, imagenet_tiny); skips where it is absent."""
    default = Path(__file__).parents[2] / 'shared' / 'data'
    path = Path(os.environ.get('MLDECODER_SHARED_DATA', default))
    if not path.is_dir():
        pytest.skip(f'no real photos: {path} is absent (set MLDECODER_SHARED_DATA)')
    return path
