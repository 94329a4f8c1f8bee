import numpy as np
import pytest

from mmpretrain_mldecoder.datasets.coco_samples import (
    image_bounds,
    labels_by_image,
    records_by_image,
)


@pytest.mark.parametrize('num_records', [0, 1, 200])
@pytest.mark.parametrize('share', [0, 0.5, 1])
def test_equals_a_plain_loop(num_records, share):
    rng = np.random.default_rng(0)
    num_images, num_labels = 23, 5
    images = rng.integers(0, num_images, num_records)
    labels = rng.integers(0, num_labels, num_records)
    chosen = rng.random(num_records) < share

    positions = [i for i in range(num_records) if chosen[i]]
    records = records_by_image(images, chosen)
    assert records.tolist() == sorted(positions, key=lambda i: images[i])  # Python's is stable

    bounds = image_bounds(images[records], num_images)
    label_images, unique_labels = labels_by_image(images[records], labels[records], num_labels)
    label_bounds = image_bounds(label_images, num_images)
    assert len(bounds) == len(label_bounds) == num_images + 1
    for image in range(num_images):
        own = [i for i in positions if images[i] == image]
        assert records[bounds[image] : bounds[image + 1]].tolist() == own
        assert unique_labels[label_bounds[image] : label_bounds[image + 1]].tolist() == sorted(
            {labels[i] for i in own}
        )
    assert records.dtype == label_images.dtype == unique_labels.dtype == bounds.dtype == np.int64
