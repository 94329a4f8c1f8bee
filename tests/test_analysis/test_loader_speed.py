import io
import random
from dataclasses import replace
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import BaseDataset, ClassBalancedDataset, ConcatDataset, RepeatDataset
from mmpretrain.registry import DATASETS
from rich.console import Console
from tiny_run import write_tiny_config
from torch.utils.data import IterableDataset, Subset, TensorDataset

from mmpretrain_mldecoder.analysis import loader_speed as module
from mmpretrain_mldecoder.analysis.loader_speed import (
    LoaderSpeed,
    StageClock,
    loader_speed,
    print_loader_speed,
)
from mmpretrain_mldecoder.datasets.seeded_sampler import SeededSamplesMixin

NOW = [0.0]
SEEN = []


class Decode:
    """A transform of 4 ms."""

    def __call__(self, results):
        NOW[0] += 0.004
        SEEN.append((results['sample_idx'], np.random.rand()))
        return dict(results, inputs=torch.zeros(1))


def augment(results):
    NOW[0] += 0.002
    return results


def collate(samples):
    NOW[0] += 0.001 * len(samples)
    return dict(data_samples=samples)


@DATASETS.register_module()
class TimedSamples(SeededSamplesMixin, BaseDataset):
    """Ten samples, each of which takes 3 ms beside its pipeline."""

    def load_data_list(self):
        return [dict(name=i) for i in range(10)]

    def get_data_info(self, idx):
        NOW[0] += 0.003
        return super().get_data_info(idx)

    def get_cat_ids(self, idx):
        return [0]


@DATASETS.register_module()
class Stream(IterableDataset):
    def __len__(self):
        return 1

    def __iter__(self):
        yield 0


@pytest.fixture(autouse=True)
def fake_time(request, monkeypatch):
    """Time passes in the parts above only; half of it the core works for others."""
    if 'tmp_path' not in request.fixturenames:
        clock = SimpleNamespace(perf_counter=lambda: NOW[0], thread_time=lambda: NOW[0] / 2)
        monkeypatch.setattr(module, 'time', clock)
    SEEN.clear()


def config(**dataloader) -> Config:
    loader = dict(
        batch_size=4,
        num_workers=0,
        dataset=dict(type='TimedSamples', pipeline=[Decode(), augment]),
        sampler=dict(type='SeededSampler', shuffle=True),
        collate_fn=dict(type=collate),
    )
    return Config(dict(train_dataloader=loader | dataloader, randomness=dict(seed=3)))


def test_stages_and_rates():
    speed = loader_speed(config(), photos=25)
    assert speed.stages == pytest.approx(
        dict(labels=3, seeding=0, Decode=4, augment=2, collation=1)
    )
    assert list(speed.stages) == ['labels', 'seeding', 'Decode', 'augment', 'collation']
    # 10 ms a sample, in both ways
    assert (speed.core_rate, speed.loader_rate) == pytest.approx((100, 100))
    assert (speed.workers, speed.batch_size, speed.num_photos) == (0, 4, 10)
    assert speed.core_share == pytest.approx(0.5)
    speed = loader_speed(config(sampler=dict(type='DefaultSampler', shuffle=True)), photos=5)
    assert list(speed.stages) == ['labels', 'Decode', 'augment', 'collation']


def test_samples_are_those_of_the_first_epoch_of_training():
    states = random.getstate(), np.random.get_state()[1].tolist()
    threads = cv2.getNumThreads(), torch.get_num_threads()
    loader_speed(config(), photos=10)
    warm_up, timed, through = SEEN[:4], SEEN[4:14], SEEN[14:24]
    assert [index for index, _ in warm_up] == [index for index, _ in timed[:4]]
    # in the order and under the seeds of the sampler, which the loader uses
    assert timed == through
    assert sorted(index for index, _ in timed) == list(range(10))
    assert (random.getstate(), np.random.get_state()[1].tolist()) == states
    assert (cv2.getNumThreads(), torch.get_num_threads()) == threads


STREAM = {
    'train_dataloader.dataset': dict(_delete_=True, type='Stream'),
    'train_dataloader.sampler': None,
}
NO_BATCH = {'train_dataloader.drop_last': True, 'train_dataloader.batch_size': 50}
DISTILLED = dict(train_dataloader=None, evaluate_only='it is distilled')


@pytest.mark.parametrize(
    ('change', 'arguments', 'message'),
    [
        ({}, dict(photos=0), 'photos must be at least 1, but got 0'),
        ({}, dict(workers=-1), 'workers must be at least 0, but got -1'),
        (DISTILLED, {}, 'no train_dataloader, because it is distilled'),
        ({'train_dataloader.dataset.data_root': 'nowhere'}, {}, 'nowhere/annotations'),
        (STREAM, {}, 'train_dataloader.dataset gives a stream'),
        (NO_BATCH, {}, 'train_dataloader has no batch: 12 samples in all'),
    ],
)
def test_errors(tmp_path, change, arguments, message):
    cfg = Config.fromfile(write_tiny_config(tmp_path))
    cfg.merge_from_dict(change)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        loader_speed(cfg, **arguments)


def test_another_split_with_workers(tmp_path):
    cfg = Config.fromfile(write_tiny_config(tmp_path))
    speed = loader_speed(cfg, 'val', photos=9, workers=1)
    assert 'Resize' in speed.stages and 'seeding' not in speed.stages
    assert (speed.workers, speed.num_photos) == (1, 7)
    assert cfg.val_dataloader.num_workers == 0  # the config is left as it was


def timed(dataset, *indices) -> dict[str, float]:
    """The milliseconds of each stage of the samples."""
    clock = StageClock()
    with clock.on_pipelines(dataset):
        for index in indices:
            dataset[index]
    return {name: round(1000 * seconds, 6) for name, seconds in clock.seconds.items()}


def test_each_transform_gets_its_time_and_the_pipeline_is_put_back():
    """A sample that is given up counts, too."""
    dataset = TimedSamples(
        pipeline=[Decode(), lambda r: r if r['sample_idx'] else None, augment, Decode()]
    )
    dataset._rand_another = lambda: 1
    originals = dataset.pipeline.transforms
    stages = {'Decode': 8, '<lambda>': 0, 'augment': 2, 'Decode 2': 4}
    found = timed(dataset, 0)
    assert found == stages and list(found) == list(stages)
    with pytest.raises(IndexError):
        timed(dataset, 10)
    assert dataset.pipeline.transforms is originals


def test_wrapped_datasets_are_timed_once_and_each_by_its_pipeline():
    inner, other = TimedSamples(pipeline=[Decode()]), TimedSamples(pipeline=[Decode(), augment])
    for wrapped in (
        ConcatDataset([inner, inner]),
        RepeatDataset(inner, 2),
        ClassBalancedDataset(inner, oversample_thr=0.1),
        Subset(ConcatDataset([inner]), [0, 1]),
    ):
        assert timed(wrapped, 1) == dict(Decode=4)
        assert type(inner.pipeline.transforms[0]) is Decode
    assert timed(ConcatDataset([inner, other]), 0, 10) == dict(Decode=8, augment=2)
    assert timed(TensorDataset(torch.zeros(1)), 0) == {}


def test_a_file_behind_a_backend_is_not_read():
    dataset = TimedSamples(pipeline=[Decode()])
    dataset.get_data_info = lambda _: dict(img_path='s3://nowhere', sample_idx=0)
    assert list(timed(dataset, 0)) == ['Decode']


def printed(gpu_rate=None, **change) -> str:
    """Print a measurement with changes, without its line breaks."""
    stages = dict(labels=0.2, LoadImageFromFile=3.0, SquareResize=0.8, x=1.0)
    speed = LoaderSpeed('train', 1000, stages, 200.0, 0.97, 8, 800.0, 56, 96_000, cores=4)
    out = io.StringIO()
    print_loader_speed(replace(speed, **change), gpu_rate, Console(file=out, width=100))
    return ' '.join(out.getvalue().split())


def test_printed_stages_and_rates():
    text = printed()
    assert 'train: one sample on one core' in text
    assert '│ LoadImageFromFile │ 3.00 │ 60% │ ██████████████████' in text
    assert '│ all │ 5.00 │ │ 200 images/s' in text
    assert '(8 workers, 4 cores here): 800 images/s; an epoch of 96,000 samples in 2.0 min' in text
    assert 'is kept busy by X / 200 cores like these' in text
    assert 'of its core' not in text
    assert 'trains 1,200 images/s is kept busy by 6.0 cores like these' in printed(1200)
    assert 'had 42% of its core: other programs run' in printed(core_share=0.42, workers=0)
