"""What an evaluation over ranks adds to the memory of each: real processes, on the CPU (gloo)."""

from pathlib import Path

import numpy as np
import pytest
import torch.distributed as torch_dist
from gloo_ranks import in_processes

from mmpretrain_mldecoder.evaluation import MultiLabelMAP

pytestmark = pytest.mark.faults

NUM_IMAGES, NUM_CLASSES, WORLD_SIZE = 4000, 9605, 4
SHARE = NUM_IMAGES // WORLD_SIZE * NUM_CLASSES * 5  # bytes: a float32 score and an int8 label each


def own_memory(field: str) -> int:
    status = Path('/proc/self/status').read_text()
    return int(status.partition(f'{field}:')[2].split()[0]) * 1024


def added_bytes(rank, world_size):
    metric = MultiLabelMAP()
    for images in np.array_split(np.arange(rank, NUM_IMAGES, world_size), 20):
        scores = np.random.default_rng(images[0]).random((len(images), NUM_CLASSES), np.float32)
        targets = (scores > 0.99).astype(np.int8)
        metric.results.append(dict(sample_idx=images, scores=scores, targets=targets))
    warm_up = MultiLabelMAP()  # what is imported and connected at the first time
    warm_up.results.append({name: rows[:2] for name, rows in metric.results[0].items()})
    warm_up.evaluate(2 * world_size)
    torch_dist.barrier()
    Path('/proc/self/clear_refs').write_text('5')  # the peak is counted from here
    before = own_memory('VmRSS')
    metric.evaluate(NUM_IMAGES)
    return own_memory('VmHWM') - before


def test_no_rank_needs_more_than_its_share_again(tmp_path):
    added = in_processes(added_bytes, WORLD_SIZE, tmp_path / 'ranks')
    assert max(added) < SHARE, added
