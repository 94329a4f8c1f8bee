from types import SimpleNamespace

import pytest
from mmengine.dataset import BaseDataset, ClassBalancedDataset, ConcatDataset, RepeatDataset
from torch.utils.data import Subset, TensorDataset

from mmpretrain_mldecoder.analysis.loader import loader_speed as stage_clock
from mmpretrain_mldecoder.analysis.loader.loader_speed import READING, StageClock
from mmpretrain_mldecoder.datasets.skip_unreadable import inner_datasets


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


@pytest.fixture(autouse=True)
def fake_time(monkeypatch):
    monkeypatch.setattr(stage_clock, 'time', SimpleNamespace(perf_counter=lambda: Wait.now))


def test_each_transform_gets_its_time_and_the_pipeline_is_put_back():
    dataset = Samples(pipeline=[Wait(2), Other(3), Wait(5), wait_a_second])
    originals = dataset.pipeline.transforms
    clock = StageClock()
    with pytest.raises(KeyError), clock.on_pipelines(dataset):
        assert [dataset[i]['name'] for i in (0, 3)] == [0, 3]
        raise KeyError
    assert clock.seconds == dict(Wait=4, Other=6, wait_a_second=2) | {'Wait 2': 10}
    assert list(clock.seconds) == ['Wait', 'Other', 'Wait 2', 'wait_a_second']
    assert dataset.pipeline.transforms is originals


def test_a_sample_that_is_given_up_counts_too():
    dataset = Samples(pipeline=[Wait(2, gives_nothing=True), Other(3)])
    dataset._rand_another = lambda: 1
    clock = StageClock()
    with clock.on_pipelines(dataset):
        dataset[0]
    assert clock.seconds == dict(Wait=4, Other=3)


@pytest.mark.parametrize(
    'wrap',
    [
        lambda d: ConcatDataset([d, d]),
        lambda d: RepeatDataset(d, 2),
        lambda d: ClassBalancedDataset(d, oversample_thr=0.1),
        lambda d: Subset(d, [0, 1, 2]),
        lambda d: Subset(ConcatDataset([d]), [0, 1]),
    ],
)
def test_wrapped_datasets_are_timed_once(wrap):
    inner = Samples(pipeline=[Wait(2)])
    dataset, clock = wrap(inner), StageClock()
    with clock.on_pipelines(dataset):
        dataset[1]
    assert clock.seconds == dict(Wait=2)
    assert type(inner.pipeline.transforms[0]) is Wait


def test_datasets_with_different_pipelines():
    clock = StageClock()
    dataset = ConcatDataset([Samples(pipeline=[Wait(2)]), Samples(pipeline=[Wait(5), Other(1)])])
    with clock.on_pipelines(dataset):
        dataset[0], dataset[5]
    assert clock.seconds == dict(Wait=7, Other=1)


def test_datasets_without_a_pipeline_are_left_alone():
    dataset = TensorDataset()
    with StageClock().on_pipelines(dataset):
        pass
    assert inner_datasets(dataset) == [dataset]


def test_the_file_is_read_before_the_first_transform(tmp_path):
    (tmp_path / 'a').write_bytes(b'')
    clock = StageClock()
    dataset = Samples(pipeline=[Wait(2), Wait(2)])
    for path, stages in [('s3://nowhere', []), (tmp_path / 'a', [READING])]:
        dataset.data_list = []
        dataset.get_data_info = lambda _, path=path: dict(img_path=str(path), sample_idx=0)
        clock = StageClock()
        with clock.on_pipelines(dataset):
            dataset[0]
        assert list(clock.seconds) == [*stages, 'Wait', 'Wait 2']
