"""The web demo as its tool serves it, with a model of random weights."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from mmengine.config import Config
from mmpretrain.registry import MODELS

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / 'configs' / 'demo' / 'mldecoder_r18vd_half_demo.py'
SECONDS = 240  # to start: torch, MMPretrain and Gradio are imported, on a busy machine


def write_random_checkpoint(path: Path) -> Path:
    """Weights whose scores differ, and whose attention is peaked as a trained model's is."""
    torch.manual_seed(0)
    model = MODELS.build(Config.fromfile(CONFIG).model)
    torch.nn.init.normal_(model.head.decoder.group_linear.weight, std=0.3)
    torch.nn.init.normal_(model.head.decoder.layers[0].attention.key_proj.weight, std=2)
    meta = dict(dataset_meta=dict(classes=[f'shape {i}' for i in range(12)]))
    torch.save(dict(state_dict=model.state_dict(), meta=meta), path)
    return path


@contextmanager
def served_demo(
    checkpoint: Path, log: Path, **environment: str
) -> Iterator[tuple[str, subprocess.Popen]]:
    """Serve the page; its address and the process, which is ended with the block."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    command = [sys.executable, ROOT / 'tools' / 'demo_app.py', CONFIG, checkpoint]
    with log.open('w') as file:
        app = subprocess.Popen(
            [*map(str, command), '--device', 'cpu', '--port', str(port)],
            env=os.environ | dict(OMP_NUM_THREADS='1', PYTHONWARNINGS='ignore') | environment,
            cwd=ROOT,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        end = time.monotonic() + SECONDS
        while not _listens(port):
            assert app.poll() is None and time.monotonic() < end, log.read_text()
            time.sleep(0.3)
        yield f'http://127.0.0.1:{port}', app
    finally:
        app.terminate()
        app.wait(30)


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(('127.0.0.1', port)) == 0
