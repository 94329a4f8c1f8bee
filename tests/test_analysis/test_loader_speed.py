import io
import random
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
    READING,
    LoaderSpeed,
    StageClock,
    loader_speed,
    print_loader_speed,
)
from mmpretrain_mldecoder.datasets.seeded_sampler import SeededSamplesMixin

NOW = [0.0]
SEEN = []


def decode(results):
    NOW[0] += 0.004
    SEEN.append((results['sample_idx'], np.random.rand()))
    return dict(inputs=torch.zeros(1), data_samples=results['sample_idx'])


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


@DATASETS.register_module()
class Stream(IterableDataset):
    def __len__(self):
        return 1

    def __iter__(self):
        yield 0


@pytest.fixture
def fake_time(monkeypatch):
    # half of the time the core works for others
    fake = SimpleNamespace(perf_counter=lambda: NOW[0], thread_time=lambda: NOW[0] / 2)
    monkeypatch.setattr(module, 'time', fake)
    SEEN.clear()


def config(**dataloader) -> Config:
    loader = dict(
        batch_size=4,
        num_workers=0,
        dataset=dict(type='TimedSamples', pipeline=[decode, augment]),
        sampler=dict(type='SeededSampler', shuffle=True),
        collate_fn=dict(type=collate),
    )
    return Config(dict(train_dataloader=loader | dataloader, randomness=dict(seed=3)))


def test_stages_and_rates(fake_time):
    speed = loader_speed(config(), photos=25)
    assert speed.stages == pytest.approx(
        dict(labels=3, seeding=0, decode=4, augment=2, collation=1)
    )
    assert list(speed.stages) == ['labels', 'seeding', 'decode', 'augment', 'collation']
    # 10 ms a sample, in both ways
    assert (speed.core_rate, speed.loader_rate) == pytest.approx((100, 100))
    assert (speed.workers, speed.batch_size, speed.num_photos) == (0, 4, 10)
    assert speed.core_share == pytest.approx(0.5)


def test_samples_are_those_of_the_first_epoch_of_training(fake_time):
    loader_speed(config(), photos=10)
    warm_up, timed, through = SEEN[:4], SEEN[4:14], SEEN[14:24]
    assert [index for index, _ in warm_up] == [index for index, _ in timed[:4]]
    # in the order and under the seeds of the sampler, which the loader uses
    assert timed == through
    assert sorted(index for index, _ in timed) == list(range(10))


def test_global_states_are_put_back(fake_time):
    threads = cv2.getNumThreads(), torch.get_num_threads()
    states = random.getstate(), np.random.get_state()[1].tolist()
    loader_speed(config(), photos=5)
    assert (cv2.getNumThreads(), torch.get_num_threads()) == threads
    assert (random.getstate(), np.random.get_state()[1].tolist()) == states


def test_plain_samplers_are_not_seeded(fake_time):
    speed = loader_speed(config(sampler=dict(type='DefaultSampler', shuffle=True)), photos=5)
    assert list(speed.stages) == ['labels', 'decode', 'augment', 'collation']


def test_wrapped_datasets(fake_time):
    inner = dict(type='TimedSamples', pipeline=[decode, augment])
    twice = dict(type='RepeatDataset', times=2, dataset=inner)
    both = dict(type='ConcatDataset', datasets=[inner, twice])
    speed = loader_speed(config(dataset=both), photos=15)
    assert speed.stages == pytest.approx(
        dict(labels=3, seeding=0, decode=4, augment=2, collation=1)
    )
    assert speed.num_photos == 30


@pytest.mark.parametrize('workers', [None, 0])
def test_a_real_config(tmp_path, workers):
    cfg = Config.fromfile(write_tiny_config(tmp_path))
    speed = loader_speed(cfg, photos=9, workers=workers)
    assert list(speed.stages) == [
        'labels', 'seeding', 'reading the file', 'LoadImageFromFile', 'RandomResizedCrop',
        'PackInputs', 'collation',
    ]  # fmt: skip
    assert all(ms > 0 for ms in speed.stages.values())
    assert speed.workers == (1 if workers is None else workers)
    assert speed.loader_rate > 0
    assert cfg.train_dataloader.num_workers == 1  # the config is left as it was


def test_another_split(tmp_path):
    speed = loader_speed(Config.fromfile(write_tiny_config(tmp_path)), 'val', photos=9)
    assert 'Resize' in speed.stages
    assert 'seeding' not in speed.stages
    assert speed.num_photos == 7


@pytest.mark.parametrize(
    ('change', 'arguments', 'error', 'message'),
    [
        ({}, dict(photos=0), ValueError, 'photos must be at least 1, but got 0'),
        ({}, dict(workers=-1), ValueError, 'workers must be at least 0, but got -1'),
        (dict(train_dataloader=None), {}, ValueError, 'the config has no train_dataloader$'),
        (
            dict(train_dataloader=None, evaluate_only='it is distilled'),
            {},
            ValueError,
            'no train_dataloader, because it is distilled',
        ),
        (
            {'train_dataloader.dataset.data_root': 'nowhere'},
            {},
            FileNotFoundError,
            'nowhere/annotations',
        ),
        (
            {
                'train_dataloader.dataset': dict(_delete_=True, type='Stream'),
                'train_dataloader.sampler': None,
            },
            {},
            ValueError,
            'train_dataloader.dataset gives a stream',
        ),
        (
            {'train_dataloader.drop_last': True, 'train_dataloader.batch_size': 50},
            {},
            ValueError,
            'train_dataloader has no batch: 12 samples in all',
        ),
    ],
)
def test_errors(tmp_path, change, arguments, error, message):
    cfg = Config.fromfile(write_tiny_config(tmp_path))
    cfg.merge_from_dict(change)
    with pytest.raises(error, match=message):
        loader_speed(cfg, **arguments)


@pytest.mark.parametrize(
    ('batch', 'length'),
    [
        (dict(inputs=torch.zeros(3, 2), data_samples=['a', 'b', 'c']), 3),
        (dict(inputs=[torch.zeros(2)] * 2), 2),
        ((torch.zeros(5, 2), torch.zeros(5)), 5),
    ],
)
def test_length_of_a_batch(batch, length):
    assert module._batch_length(batch) == length


class Wait:
    """A transform that takes a known time of the clock below."""

    now = 0.0

    def __init__(self, seconds: float, gives_nothing: bool = False):
        self.seconds = seconds
        self.gives_nothing = gives_nothing

    def __call__(self, results):
        Wait.now += self.seconds
        return None if self.gives_nothing and results['sample_idx'] == 0 else results


class Other(Wait):
    pass


def wait_a_second(results):
    Wait.now += 1
    return results


class Samples(BaseDataset):
    def load_data_list(self):
        return [dict(name=i) for i in range(4)]

    def get_cat_ids(self, idx):
        return [0]


@pytest.fixture
def clock(monkeypatch) -> StageClock:
    """A clock whose time passes in transforms only."""
    monkeypatch.setattr(module, 'time', SimpleNamespace(perf_counter=lambda: Wait.now))
    return StageClock()


def test_each_transform_gets_its_time_and_the_pipeline_is_put_back(clock):
    dataset = Samples(pipeline=[Wait(2), Other(3), Wait(5), wait_a_second])
    originals = dataset.pipeline.transforms
    with pytest.raises(KeyError), clock.on_pipelines(dataset):
        assert [dataset[i]['name'] for i in (0, 3)] == [0, 3]
        raise KeyError
    assert clock.seconds == dict(Wait=4, Other=6, wait_a_second=2) | {'Wait 2': 10}
    assert list(clock.seconds) == ['Wait', 'Other', 'Wait 2', 'wait_a_second']
    assert dataset.pipeline.transforms is originals


def test_a_sample_that_is_given_up_counts_too(clock):
    dataset = Samples(pipeline=[Wait(2, gives_nothing=True), Other(3)])
    dataset._rand_another = lambda: 1
    with clock.on_pipelines(dataset):
        dataset[0]
    assert clock.seconds == dict(Wait=4, Other=3)


@pytest.mark.parametrize(
    'wrap',
    [
        lambda d: ConcatDataset([d, d]),
        lambda d: RepeatDataset(d, 2),
        lambda d: ClassBalancedDataset(d, oversample_thr=0.1),
        lambda d: Subset(ConcatDataset([d]), [0, 1]),
    ],
)
def test_wrapped_datasets_are_timed_once(clock, wrap):
    inner = Samples(pipeline=[Wait(2)])
    dataset = wrap(inner)
    with clock.on_pipelines(dataset):
        dataset[1]
    assert clock.seconds == dict(Wait=2)
    assert type(inner.pipeline.transforms[0]) is Wait


def test_datasets_with_different_pipelines_and_without_one(clock):
    dataset = ConcatDataset([Samples(pipeline=[Wait(2)]), Samples(pipeline=[Wait(5), Other(1)])])
    with clock.on_pipelines(dataset):
        dataset[0], dataset[5]
    with clock.on_pipelines(TensorDataset()):
        pass
    assert clock.seconds == dict(Wait=7, Other=1)


@pytest.mark.parametrize(('name', 'stages'), [('s3://nowhere', []), ('a', [READING])])
def test_the_file_is_read_before_the_first_transform(clock, tmp_path, monkeypatch, name, stages):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'a').write_bytes(b'')
    dataset = Samples(pipeline=[Wait(2), Wait(2)])
    dataset.data_list = []
    dataset.get_data_info = lambda _: dict(img_path=name, sample_idx=0)
    with clock.on_pipelines(dataset):
        dataset[0]
    assert list(clock.seconds) == [*stages, 'Wait', 'Wait 2']


def printed(gpu_rate=None, **change) -> str:
    """Print a measurement with changes, without its line breaks."""
    facts = dict(
        split='train',
        photos=1000,
        stages=dict(labels=0.2, LoadImageFromFile=3.0, SquareResize=0.8, x=1.0),
        core_rate=200.0,
        core_share=0.97,
        workers=8,
        loader_rate=800.0,
        batch_size=56,
        num_photos=96_000,
        cores=4,
    )
    out = io.StringIO()
    print_loader_speed(LoaderSpeed(**(facts | change)), gpu_rate, Console(file=out, width=100))
    return ' '.join(out.getvalue().split())


def test_printed_stages_and_rates():
    text = printed()
    assert 'train: one sample on one core' in text
    assert '│ LoadImageFromFile │ 3.00 │ 60% │ ██████████████████' in text
    assert '│ all │ 5.00 │ │ 200 photos/s' in text
    assert (
        'through the loader (8 workers, 4 cores here): 800 photos/s; an epoch of 96,000 samples in '
        '2.0 min' in text
    )
    assert 'is kept busy by X / 200 cores like these' in text
    assert 'of its core' not in text
    assert 'trains 1,200 photos/s is kept busy by 6.0 cores like these' in printed(1200)
    assert 'had 42% of its core: other programs run' in printed(core_share=0.42, workers=0)
