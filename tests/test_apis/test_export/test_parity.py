import pytest
import torch
from tiny_classifier import build_classifier

from mmpretrain_mldecoder.apis.export.parity import compare_scores, rounding_of_torch, torch_scores


def test_every_image_is_compared_in_every_batch_size():
    images = torch.arange(10.0).reshape(10, 1, 1, 1).expand(10, 3, 4, 5)
    expected = torch.arange(10.0)[:, None] / 10
    seen = []

    def scores_of(batch):
        seen.append(len(batch))
        scores = batch[:, 0, 0, :1] / 10
        # only the last image, and only where it is not alone
        return scores + 0.25 * (scores == 0.9) * (len(batch) > 1)

    rows = compare_scores(scores_of, expected, images)
    assert seen == [1] * 10 + [2] * 5 + [7, 3]
    shapes = [(r.batch, r.num_images, r.height, r.width) for r in rows]
    assert shapes == [(batch, 10, 4, 5) for batch in (1, 2, 7)]
    assert [r.largest for r in rows] == pytest.approx([0, 0.25, 0.25], abs=1e-6)
    assert rows[1].mean == pytest.approx(0.025, abs=1e-6)


def test_too_few_images_are_repeated():
    images = torch.tensor([0.0, 1.0]).reshape(2, 1, 1, 1).expand(2, 3, 4, 4)
    sizes = []
    rows = compare_scores(
        lambda batch: sizes.append(len(batch)) or batch[:, 0, 0, :1], images[:, 0, 0, :1], images
    )
    assert sizes == [1, 1, 2, 7]
    assert [(row.num_images, row.largest) for row in rows] == [(2, 0)] * 3


def test_rounding_is_far_below_the_tolerance_and_leaves_the_model_alone():
    model = build_classifier('groups')
    images = torch.randint(0, 256, (3, 3, 16, 16), dtype=torch.uint8)
    before = torch_scores(model, images)
    rounding = rounding_of_torch(model, images)
    assert set(rounding) == {'channels-last', 'float64'}
    # float32 keeps 1.2e-7 of a value; sums of hundreds of terms add up to tens of that
    assert max(rounding.values()) < 1e-5
    assert torch.equal(torch_scores(model, images), before)


@pytest.mark.parametrize(
    ('measured', 'is_so'),
    [
        ('float64', lambda features: features.dtype == torch.float64),
        ('channels-last', lambda features: features.stride(1) == 1),
    ],
)
def test_rounding_is_measured_where_it_is_called_so(measured, is_so):
    """The difference is made, as a processor may give the same bits in both."""
    model = build_classifier('groups')
    model.backbone.layers[3].register_forward_hook(
        lambda _, __, features: features + 1 if is_so(features) else None
    )
    images = torch.randint(0, 256, (3, 3, 16, 16), dtype=torch.uint8)
    rounding = rounding_of_torch(model, images)
    assert [name for name, apart in rounding.items() if apart > 1e-3] == [measured]
