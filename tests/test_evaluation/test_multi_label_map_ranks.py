"""The metric in real process groups (gloo) gives every rank what one process gives."""

import json

import numpy as np
import pytest
import torch
import torch.distributed as torch_dist
import torch.multiprocessing as mp
from mmengine.dataset import DefaultSampler

from mmpretrain_mldecoder.evaluation import MultiLabelMAP
from mmpretrain_mldecoder.evaluation.metrics import gather as gather_module
from mmpretrain_mldecoder.evaluation.metrics import gather as rows_of_ranks

NUM_IMAGES, NUM_CLASSES = 7, 5
CONFIG = dict(with_f1=True, topk=2, by_size=True, missing_class='zero')


def make_sample(idx, with_idx=True):
    rng = np.random.default_rng(idx)
    label = rng.permutation(NUM_CLASSES)[: rng.integers(1, 3)]
    sample = dict(
        pred_score=torch.from_numpy(rng.random(NUM_CLASSES, dtype=np.float32)),
        gt_label=torch.from_numpy(label),
        instance_labels=label,
        instance_areas=rng.choice([100.0, 5000.0, 50000.0], len(label)),
    )
    return dict(sample, sample_idx=idx) if with_idx else sample


def split_like_the_sampler(rank, world_size):
    """Indices of a rank, padded with the first images."""
    total = -(-NUM_IMAGES // world_size) * world_size
    return [i % NUM_IMAGES for i in range(total)][rank::world_size]


# name: (indices of a rank, size, whether the samples have sample_idx)
SCENARIOS = {
    'padded': (split_like_the_sampler, NUM_IMAGES, True),
    'padded, no sample_idx': (split_like_the_sampler, NUM_IMAGES, False),
    'not padded, ragged': (lambda r, w: list(range(NUM_IMAGES))[r::w], NUM_IMAGES, True),
    'in runs, doubled': (lambda r, w: [*range(NUM_IMAGES)][r * 2 : r * 2 + 6], NUM_IMAGES, True),
    'one rank has all': (lambda r, w: [*range(NUM_IMAGES)] if r == w - 1 else [], NUM_IMAGES, True),
    'last rank empty': (lambda r, w: [[0, 2], [1, 3], []][r], 4, True),
    'first rank empty': (lambda r, w: [[], [1, 3], [0, 2]][-w:][r], 4, True),
}


def run_scenario(indices, size, with_idx, nan_image=None, **config):
    metric = MultiLabelMAP(**(config or CONFIG))
    samples = [make_sample(i, with_idx) for i in indices]
    if nan_image in indices:
        samples[indices.index(nan_image)]['pred_score'][2] = np.nan
    for start in range(0, len(samples), 2):
        metric.process(None, samples[start : start + 2])
    result = metric.evaluate(size)
    assert metric.results == []
    return result


def message_of(*arguments, **options):
    try:
        run_scenario(*arguments, **options)
    except ValueError as error:
        return str(error)


def worker(rank, world_size, folder):
    torch.set_num_threads(1)
    torch_dist.init_process_group(
        'gloo', init_method=f'file://{folder}/init', rank=rank, world_size=world_size
    )
    # One or two rows of scores at a time, one class a rank: several rounds.
    gather_module._EXCHANGE_BYTES = 48
    rows_of_ranks._CLASSES_OF_A_RANK = 1
    own = torch.arange(rank * 10, rank * 10 + (3, 0, 2)[rank])
    gathered = gather_module.gather_rows(own)
    results = dict(gather=gathered.tolist() if gathered is not None else None)
    pairs = torch.stack([own, -own], dim=1)
    results['column'] = gather_module.gather_rows(pairs, slice(rank, rank + 1)).tolist()
    for name, (split, size, with_idx) in SCENARIOS.items():
        results[name] = run_scenario(split(rank, world_size), size, with_idx)
    own = split_like_the_sampler(rank, world_size)
    results['plain'] = run_scenario(own, NUM_IMAGES, True, map_type='11point')
    results['nobody'] = message_of([], 4, True)
    # rank 1 has image 3 in a group of 2, rank 0 in a group of 3
    results['nan'] = message_of(own, NUM_IMAGES, True, nan_image=3)
    results['thr'] = message_of(own, NUM_IMAGES, True, with_f1=True, thr={'ant': 0.5})
    with open(f'{folder}/{rank}.json', 'w') as file:
        json.dump(results, file)
    torch_dist.barrier()
    torch_dist.destroy_process_group()


@pytest.mark.parametrize('world_size', [2, 3])
def test_every_rank_gets_what_one_process_computes(world_size, tmp_path):
    # fork: the children need not import everything anew.
    mp.start_processes(worker, (world_size, str(tmp_path)), world_size, start_method='fork')
    results = [json.loads((tmp_path / f'{rank}.json').read_text()) for rank in range(world_size)]
    # First rows of all ranks, then second rows, then third.
    assert results[0].pop('gather') == {2: [0, 1, 2], 3: [0, 20, 1, 21, 2]}[world_size]
    assert [result.pop('gather') for result in results[1:]] == [None] * (world_size - 1)
    merged = results[0]['column']
    assert merged == [[n] for n in {2: [0, 1, 2], 3: [0, 20, 1, 21, 2]}[world_size]]
    negated = [[[-n] for (n,) in merged], [[] for _ in merged]]  # there is no third column
    assert [result['column'] for result in results] == [merged, *negated][:world_size]
    for name, (_, size, _) in SCENARIOS.items():
        expected = run_scenario(list(range(size)), size, True)
        assert [result[name] for result in results] == [expected] * world_size, name
    plain = run_scenario(list(range(NUM_IMAGES)), NUM_IMAGES, True, map_type='11point')
    assert [result['plain'] for result in results] == [plain] * world_size
    # an error of one is raised by all: none is left to wait
    assert all('no sample to evaluate' in result['nobody'] for result in results)
    assert all('NaN, the first one for sample 3, class 2' in r['nan'] for r in results)
    assert all('thr must name each class once' in result['thr'] for result in results)


@pytest.mark.parametrize('world_size', [2, 3, 4])
def test_the_split_is_that_of_mmengine(world_size, monkeypatch):
    for rank in range(world_size):
        monkeypatch.setattr(
            'mmengine.dataset.sampler.get_dist_info', lambda rank=rank: (rank, world_size)
        )
        sampler = DefaultSampler(range(NUM_IMAGES), shuffle=False)
        assert list(sampler) == split_like_the_sampler(rank, world_size)
