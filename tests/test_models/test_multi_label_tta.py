import numpy as np
import pytest
import torch
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

HEAD = dict(type='MLDecoderHead', num_classes=3, in_channels=32, embed_dims=8, num_heads=2)


def build(**head) -> torch.nn.Module:
    module = dict(
        type='ImageClassifier',
        backbone=dict(type='ResNet', depth=18, base_channels=4, stem_channels=4),
        head=HEAD | dict(feedforward_channels=8) | head,
        data_preprocessor=dict(mean=[0, 0, 0], std=[255, 255, 255]),
    )
    torch.manual_seed(0)
    return MODELS.build(dict(type='MultiLabelTTA', module=MODELS.build(module))).eval()


def sample(index: int, **metainfo) -> DataSample:
    one = DataSample(metainfo=dict(sample_idx=index, img_path=f'{index}.jpg', **metainfo))
    return one.set_gt_label([index % 3])


def batch(sizes=(32, 32), samples=2) -> dict:
    """Views of images as MMEngine collates them: the outer list is over the views."""
    generator = torch.Generator().manual_seed(0)
    return dict(
        inputs=[torch.rand(samples, 3, s, s, generator=generator) * 255 for s in sizes],
        data_samples=[
            [sample(i, flip=v > 0, instance_areas=np.array([4.0])) for i in range(samples)]
            for v in range(len(sizes))
        ],
    )


@pytest.mark.parametrize('sizes', [(32, 32), (32, 48, 64)])
def test_scores_are_the_mean_of_the_views(sizes):
    model = build()
    data = batch(sizes)
    with torch.no_grad():
        merged = model.test_step(data)
        views = []
        for images in data['inputs']:
            logits = model.module(images / 255)  # what the preprocessor does
            views.append(logits.sigmoid().double())
    expected = torch.stack(views).mean(dim=0)
    ours = torch.stack([one.pred_score for one in merged]).double()
    # float32 sums of a few numbers below 1
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-6)


def test_one_view_is_the_plain_test_bit_by_bit():
    model = build()
    data = batch((32,))
    plain = dict(inputs=data['inputs'][0], data_samples=[sample(i) for i in range(2)])
    with torch.no_grad():
        for one, other in zip(model.test_step(data), model.module.test_step(plain), strict=True):
            assert torch.equal(one.pred_score, other.pred_score)
            assert torch.equal(one.pred_label, other.pred_label)


def test_the_rest_is_that_of_the_first_view():
    with torch.no_grad():
        merged = build().test_step(batch())
    for i, one in enumerate(merged):
        assert (one.sample_idx, one.img_path, one.flip) == (i, f'{i}.jpg', False)
        assert one.gt_label.tolist() == [i % 3]
        assert one.instance_areas.tolist() == [4.0]


def views_of(*scores) -> list[DataSample]:
    scores = [torch.tensor(score) for score in scores]
    return [sample(0).set_pred_score(s).set_pred_label(torch.where(s >= 0.5)[0]) for s in scores]


@pytest.mark.parametrize(
    ('head', 'expected'),
    [({}, [0, 2]), (dict(thr=0.8), [2]), (dict(thr=0.25), [0, 1, 2]), (dict(topk=1), [2])],
)
def test_labels_are_those_of_the_mean(head, expected):
    views = views_of([0.75, 0.5, 0.875], [0.25, 0.0, 0.875])
    (merged,) = build(**head).merge_preds([views])
    assert merged.pred_score.tolist() == [0.5, 0.25, 0.875]
    assert merged.pred_label.tolist() == expected
    assert views[0].pred_score.tolist() == [0.75, 0.5, 0.875]  # left as it is
