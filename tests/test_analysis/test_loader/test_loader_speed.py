import random
from dataclasses import replace
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmpretrain.registry import DATASETS
from tiny_run import write_tiny_config
from torch.utils.data import IterableDataset

from mmpretrain_mldecoder.analysis.loader import loader_speed as module
from mmpretrain_mldecoder.analysis.loader import loader_speed as stage_clock
from mmpretrain_mldecoder.analysis.loader.loader_report import loader_advice
from mmpretrain_mldecoder.analysis.loader.loader_speed import LoaderSpeed, loader_speed
from mmpretrain_mldecoder.datasets.resized_copy import make_resized_copy
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
    monkeypatch.setattr(stage_clock, 'time', fake)
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
    assert speed.slowest == 'decode'
    # 10 ms a sample, in both ways
    assert (speed.core_rate, speed.loader_rate) == pytest.approx((100, 100))
    assert speed.cores_for(450) == pytest.approx(4.5)
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


@pytest.mark.parametrize(
    'wrapped',
    [
        dict(type='RepeatDataset', times=2),
        dict(type='ConcatDataset'),
    ],
)
def test_wrapped_datasets(fake_time, wrapped):
    inner = dict(type='TimedSamples', pipeline=[decode, augment])
    if wrapped['type'] == 'ConcatDataset':
        wrapped = dict(wrapped, datasets=[inner, inner])
    else:
        wrapped = dict(wrapped, dataset=inner)
    speed = loader_speed(config(dataset=wrapped), photos=15)
    assert speed.stages == pytest.approx(
        dict(labels=3, seeding=0, decode=4, augment=2, collation=1)
    )
    assert speed.num_photos == 20


@pytest.mark.parametrize('workers', [None, 0, 2])
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
    assert not speed.is_resized_copy
    assert cfg.train_dataloader.num_workers == 1  # the config is left as it was


def test_other_splits_and_a_resized_copy(tmp_path):
    cfg = Config.fromfile(write_tiny_config(tmp_path))
    make_resized_copy(tmp_path / 'coco', tmp_path / 'copy', 32, workers=0)
    cfg.val_dataloader.dataset.data_root = str(tmp_path / 'copy')
    speed = loader_speed(cfg, 'val', photos=9)
    assert 'Resize' in speed.stages
    assert 'seeding' not in speed.stages
    assert (speed.num_photos, speed.is_resized_copy) == (7, True)


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
    ('batch', 'photos'),
    [
        (dict(inputs=torch.zeros(3, 2), data_samples=['a', 'b', 'c']), 3),
        (dict(inputs=[torch.zeros(2)] * 2), 2),
        ((torch.zeros(5, 2), torch.zeros(5)), 5),
    ],
)
def test_photos_in_a_batch(batch, photos):
    assert module._photos_in(batch) == photos


@pytest.mark.parametrize(
    ('change', 'helps'),
    [
        ({}, True),
        (dict(split='val'), False),  # evaluation is on the pixels of the originals
        (dict(is_resized_copy=True), False),
        (dict(stages=dict(RandomResizedCrop=1.0)), False),  # which must not meet a squashed photo
    ],
)
def test_a_copy_helps_where_training_squashes_the_originals(change, helps):
    speed = LoaderSpeed(
        split='train',
        photos=1,
        stages=dict(SquareResize=1.0, x=3.0),
        core_rate=250,
        core_share=1,
        workers=0,
        loader_rate=250,
        batch_size=8,
        num_photos=1,
        cores=1,
        is_resized_copy=False,
    )
    assert replace(speed, **change).copy_would_help is helps


def test_advice():
    for stage in ('LoadImageFromFile', 'LoadScaledImage', 'SquareResize'):
        assert 'resized copy' in loader_advice(stage, copy_would_help=True)
        assert 'more workers' in loader_advice(stage)
    assert 'local disk' in loader_advice('reading the file', copy_would_help=True)
    assert loader_advice('TwoOpRandAugment 2') == loader_advice('TwoOpRandAugment')
    assert 'cProfile' in loader_advice('MyTransform')
