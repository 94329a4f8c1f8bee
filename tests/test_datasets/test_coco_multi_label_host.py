"""COCOMultiLabel does what MMEngine and its wrappers expect of a dataset."""

import pytest
from coco_dataset import build, check_samples, infos, plain_samples
from mmengine.dataset import ClassBalancedDataset, ConcatDataset, RepeatDataset

from mmpretrain_mldecoder.datasets import COCOMultiLabel, CocoSamples


def test_get_cat_ids_serves_the_class_balanced_wrapper(fake_coco):
    dataset = build(fake_coco)
    assert [dataset.get_cat_ids(i) for i in (0, 1)] == [[], [1]]
    assert len(ClassBalancedDataset(dataset, oversample_thr=0.9)) > len(dataset)


def test_lazy_init_and_indices_of_the_host(fake_coco):
    dataset = build(fake_coco, lazy_init=True, indices=5, serialize_data=False)
    assert dataset.CLASSES is None
    dataset.full_init()
    assert len(dataset) == 5


@pytest.mark.parametrize('serialize_data', [True, False])
@pytest.mark.parametrize('indices', [5, -3, 0, [2, 0, -1, 2], []])
def test_subsets_of_the_host(fake_coco, indices, serialize_data):
    expected = plain_samples(fake_coco, 'train')
    if isinstance(indices, int):
        wanted = expected[:indices] if indices >= 0 else expected[indices:]
    else:
        wanted = [expected[i] for i in indices]
    whole = build(fake_coco, serialize_data=serialize_data)
    subset = whole.get_subset(indices)
    check_samples(infos(subset), wanted)
    check_samples(infos(whole), expected)
    whole.get_subset_(indices)
    check_samples(infos(whole), wanted)
    check_samples(infos(build(fake_coco, indices=indices)), wanted)
    assert [info['sample_idx'] for info in infos(whole)] == list(range(len(wanted)))
    with pytest.raises(TypeError, match='indices'):
        whole.get_subset(0.5)


def test_wrappers_of_the_host(fake_coco):
    expected = plain_samples(fake_coco, 'train') + plain_samples(fake_coco, 'val')
    both = ConcatDataset([build(fake_coco), build(fake_coco, 'val')])
    check_samples(infos(both), expected)
    check_samples(infos(RepeatDataset(build(fake_coco), 2)), expected[:12] * 2)
    balanced = ClassBalancedDataset(build(fake_coco), oversample_thr=0.9)
    by_path = {sample['img_path']: sample for sample in expected}
    check_samples(infos(balanced), [by_path[info['img_path']] for info in infos(balanced)])


def test_filter_cfg_is_handed_to_a_filter(fake_coco):
    class Tall(COCOMultiLabel):
        def filter_data(self):
            least = self.filter_cfg['height']
            return [info for info in self.data_list if info['height'] >= least]

    expected = [sample for sample in plain_samples(fake_coco, 'train') if sample['height'] >= 52]
    assert 0 < len(expected) < 12
    options = dict(data_root=str(fake_coco), data_prefix='train2017', filter_cfg=dict(height=52))
    for serialize_data in (True, False):
        dataset = Tall(
            'annotations/instances_train2017.json', serialize_data=serialize_data, **options
        )
        check_samples(infos(dataset), expected)
        check_samples(infos(dataset.get_subset([0, -1])), [expected[0], expected[-1]])
        # a list is what the host serializes for its workers
        assert dataset.serialize_data is serialize_data
        assert len(dataset.data_list) == (0 if serialize_data else len(expected))


def test_a_filter_may_keep_the_arrays(fake_coco):
    class Every2nd(COCOMultiLabel):
        def filter_data(self):
            return self.data_list[::2]

    dataset = Every2nd(
        'annotations/instances_train2017.json', data_root=str(fake_coco), data_prefix='train2017'
    )
    assert isinstance(dataset.data_list, CocoSamples)
    check_samples(infos(dataset), plain_samples(fake_coco, 'train')[::2])


def test_a_subclass_may_return_other_dicts(fake_coco):
    class WithSource(COCOMultiLabel):
        def load_data_list(self):
            return [dict(info, source='mine') for info in super().load_data_list()]

    dataset = WithSource(
        'annotations/instances_train2017.json', data_root=str(fake_coco), data_prefix='train2017'
    )
    assert [info['source'] for info in infos(dataset)] == ['mine'] * 12
