import numpy as np
import pytest
import torch
from mmpretrain.datasets import PackInputs
from mmpretrain.registry import TRANSFORMS

from mmpretrain_mldecoder.datasets.transforms import PackMultiLabelInputs


def test_keeps_the_instances_beside_what_the_host_keeps():
    img = np.zeros((4, 5, 3), np.uint8)
    results = dict(
        img=img,
        sample_idx=7,
        img_path='a.jpg',
        gt_label=np.array([1]),
        instance_labels=np.array([1, 1]),
        instance_areas=np.array([9.0, 4.0], np.float32),
    )
    packed = TRANSFORMS.build(dict(type='PackMultiLabelInputs'))(results)
    host = PackInputs()(results)
    assert packed['inputs'].equal(host['inputs'])
    sample = packed['data_samples']
    assert sample.instance_labels.tolist() == [1, 1]
    assert sample.instance_areas.tolist() == [9.0, 4.0]
    assert set(sample.keys()) == set(host['data_samples'].keys())
    assert set(host['data_samples'].metainfo_keys()) < set(sample.metainfo_keys())


@pytest.mark.parametrize('shape', [(4, 5, 3), (4, 5, 1), (4, 5), (4, 5, 4)])
@pytest.mark.parametrize('dtype', [np.uint8, np.float32])
def test_the_tensor_is_the_hosts(shape, dtype):
    img = np.random.default_rng(0).integers(0, 256, shape).astype(dtype)
    for view in (img, img[:, ::-1], img.transpose(1, 0, *range(2, img.ndim))):
        ours = PackMultiLabelInputs()(dict(img=view))['inputs']
        host = PackInputs()(dict(img=view))['inputs']
        assert ours.dtype == host.dtype and ours.equal(host)
        assert ours.is_contiguous()


DOUBTFUL = dict(gt_label=[2], gt_label_difficult=[2, 0], img_path='a.jpg')  # as the host's VOC


def test_doubtful_labels():
    def pack(**options):
        return PackMultiLabelInputs(**options)(dict(DOUBTFUL))['data_samples']

    sample = pack()
    assert sample.gt_label.tolist() == [2]
    assert sample.gt_label_difficult.tolist() == [0]  # 2 is certain
    sample = pack(num_classes=4)
    assert sample.gt_score.tolist() == [-1, 0, 1, 0]
    for difficult, labels in (('negative', [2]), ('positive', [0, 2])):
        sample = pack(difficult=difficult, num_classes=4)
        assert sample.gt_label.tolist() == labels
        assert 'gt_label_difficult' not in sample and 'gt_score' not in sample
        given = dict(DOUBTFUL, gt_score=np.float32([-1, 0, 1, 0]))  # as of COCOMultiLabel
        sample = PackMultiLabelInputs(difficult=difficult)(given)['data_samples']
        assert sample.gt_score.nonzero()[:, 0].tolist() == labels
        assert given['gt_score'].tolist() == [-1, 0, 1, 0]
    empty = PackMultiLabelInputs()(dict(gt_label=[], gt_label_difficult=[1]))['data_samples']
    assert empty.gt_label.dtype == torch.long
    assert DOUBTFUL['gt_label_difficult'] == [2, 0]
    with pytest.raises(ValueError, match="'unknown', 'negative' or 'positive', got 'ignore'"):
        PackMultiLabelInputs(difficult='ignore')


def test_labels_that_are_not_listed():
    def scores(**sample):
        pack = PackMultiLabelInputs(num_classes=4, absent='unknown')
        return pack(sample)['data_samples'].gt_score.tolist()

    assert scores(gt_label=[2]) == [-1, -1, 1, -1]
    assert scores(gt_label=np.array([], np.int64)) == [-1] * 4
    assert scores(gt_label=[2], gt_label_difficult=[2, 0]) == [-1, -1, 1, -1]
    given = np.float32([1, 0, -1, 0.3])  # as of a mixed sample
    assert scores(gt_label=[0], gt_score=given) == [1, -1, -1, np.float32(0.3)]
    assert given.tolist()[1] == 0
    pack = PackMultiLabelInputs(num_classes=4, absent='unknown')
    assert 'gt_score' not in pack(dict(img_path='a.jpg'))['data_samples']  # in prediction
    with pytest.raises(ValueError, match='needs num_classes'):
        PackMultiLabelInputs(absent='unknown')
    with pytest.raises(ValueError, match="must be 'negative' or 'unknown', got 'ignore'"):
        PackMultiLabelInputs(absent='ignore')
