"""The metric in real process groups (gloo) gives every rank what one process gives."""

import numpy as np
import pytest
import torch
from gloo_ranks import in_processes

from mmpretrain_mldecoder.evaluation import MultiLabelMAP
from mmpretrain_mldecoder.evaluation.metrics import gather

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
    with pytest.raises(ValueError, match='') as caught:
        run_scenario(*arguments, **options)
    return str(caught.value)


def results_of_a_rank(rank, world_size):
    # One or two rows of scores at a time, one class per rank: several rounds.
    gather._EXCHANGE_BYTES = 48
    gather._CLASSES_OF_A_RANK = 1
    own = torch.arange(rank * 10, rank * 10 + (3, 0, 2)[rank])
    pairs = torch.stack([own, -own], dim=1)
    results = dict(column=gather.gather_rows(pairs, slice(rank, rank + 1)).tolist())
    results['main'] = gather.gather_batches([dict(pairs=pairs.numpy())], ['pairs'])
    for name, (split, size, with_idx) in SCENARIOS.items():
        results[name] = run_scenario(split(rank, world_size), size, with_idx)
    own = split_like_the_sampler(rank, world_size)
    results['plain'] = run_scenario(own, NUM_IMAGES, True, map_type='11point')
    results['nobody'] = message_of([], 4, True)
    # rank 1 has image 3 in a group of 2, rank 0 in a group of 3
    results['nan'] = message_of(own, NUM_IMAGES, True, nan_image=3)
    results['thr'] = message_of(own, NUM_IMAGES, True, with_f1=True, thr={'ant': 0.5})
    return results


@pytest.mark.parametrize('world_size', [2, 3])
def test_every_rank_gets_what_one_process_computes(world_size, tmp_path):
    results = in_processes(results_of_a_rank, world_size, tmp_path / 'ranks')
    # First rows of all ranks, then second rows, then third.
    merged = {2: [0, 1, 2], 3: [0, 20, 1, 21, 2]}[world_size]
    columns = [[[n] for n in merged], [[-n] for n in merged], [[] for _ in merged]]
    assert [result['column'] for result in results] == columns[:world_size]
    assert results[0]['main']['pairs'].tolist() == [[n, -n] for n in merged]
    assert [result['main'] for result in results[1:]] == [None] * (world_size - 1)
    for name, (_, size, _) in SCENARIOS.items():
        expected = run_scenario(list(range(size)), size, True)
        assert [result[name] for result in results] == [expected] * world_size, name
    plain = run_scenario(list(range(NUM_IMAGES)), NUM_IMAGES, True, map_type='11point')
    assert [result['plain'] for result in results] == [plain] * world_size
    # an error on one rank is raised on all: none is left to wait
    assert all('no sample to evaluate' in result['nobody'] for result in results)
    assert all('NaN, the first one for sample 3, class 2' in r['nan'] for r in results)
    assert all('thr must name each class once' in result['thr'] for result in results)


def test_one_process_returns_its_rows():
    for shape in ((5, 3), (0, 3), (2, 0)):
        rows = torch.randint(10, shape, dtype=torch.int8)
        assert torch.equal(gather.gather_rows(rows), rows)
        assert gather.gather_rows(rows, slice(1, 2)).dtype == torch.int8
