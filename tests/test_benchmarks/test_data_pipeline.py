"""That both sides of the benchmark read, augment and collate the same photos."""

import json
import sys

import numpy as np
import pytest
import torch
from mmengine import Config
from mmengine.dataset import default_collate
from PIL import Image

data_pipeline = pytest.importorskip('data_pipeline')


def test_both_sides_give_the_same_pixels(tmp_path):
    paths = data_pipeline.write_photos(tmp_path, 3, (90, 120))
    assert [Image.open(path).size for path in paths] == [(120, 90), (120, 90), (90, 120)]
    steps = Config.fromfile(data_pipeline.CONFIGS[224]).test_pipeline
    ours = default_collate([data_pipeline.our_loading(steps)(path) for path in paths])['inputs']
    theirs = torch.stack([data_pipeline.peer_loading(224, False)(path) for path in paths])
    assert ours.shape == theirs.shape == (3, 3, 224, 224) and ours.dtype == torch.uint8
    # BGR of 0..255 and RGB of 0..1; 1 grey level is the rounding of a tall photo in Pillow
    assert (ours.flip(1) - theirs * 255).abs().max() < 1.001


def test_the_peers_box_has_half_the_side():
    np.random.seed(0)
    sides = []
    for _ in range(30):
        img = data_pipeline.CutoutPIL()(Image.new('RGB', (40, 60), (300, 0, 0)))
        rows, columns = (np.asarray(img) != (255, 0, 0)).any(-1).nonzero()
        sides.append((np.ptp(rows) + 1, np.ptp(columns) + 1))
    assert np.max(sides, axis=0).tolist() == [31, 21]


def test_runs(tmp_path, monkeypatch):
    pytest.importorskip('randaugment')
    small = ['--count', '2', '--large', '1', '--repeats', '1', '--out', str(tmp_path)]
    monkeypatch.setattr(sys, 'argv', ['data_pipeline.py', *small])
    threads = torch.get_num_threads()
    try:
        data_pipeline.main()
    finally:
        torch.set_num_threads(threads)
    rows = json.loads((tmp_path / 'data_pipeline.json').read_text())['rows']
    assert len(rows) == 9
    exact = [row for row in rows if 'fast' not in row['what']]
    assert all('grey levels from PIL on average, 99 % within' in row['note'] for row in rows)
    assert len(exact) == 6
