import numpy as np
import pytest
from prediction_dumps import random_run, write_dump

from mmpretrain_mldecoder.analysis.report.test_run import check_same_images, read_test_run


def test_arrays_of_the_file(tmp_path):
    scores, targets = random_run(10, 4)
    targets[0, 1] = -1
    run = read_test_run(write_dump(tmp_path / 'a.pkl', scores, targets, scores / 2, areas=50.0))
    np.testing.assert_array_equal(run.scores, scores)
    np.testing.assert_array_equal(run.raw_scores, scores / 2)
    np.testing.assert_array_equal(run.targets, targets)
    np.testing.assert_array_equal(run.size_masks == 1, targets == 1)  # 50 is small
    assert run.images[3] == 'photos/000003.jpg'
    run = read_test_run(write_dump(tmp_path / 'a.pkl', scores, targets))
    assert run.raw_scores is None and run.size_masks is None


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda scores: scores * 10 - 5, r'must be probabilities, in \[0, 1\]'),
        (lambda scores: scores * np.nan, 'scores are NaN'),
        (lambda scores: scores[:, :2], r'gt_label of .* must be in \[0, 2\)'),
    ],
)
def test_scores_that_are_none(tmp_path, change, message):
    scores, targets = random_run(30, 3)
    targets[:, 2] = 1
    path = write_dump(tmp_path / 'a.pkl', change(scores), targets)
    with pytest.raises(ValueError, match=f'a.pkl does not hold .*{message}'):
        read_test_run(path)


def test_runs_that_can_and_cannot_be_compared(tmp_path):
    scores, targets = random_run(20, 4)
    images = [f'elsewhere/{i:06d}.jpg' for i in range(20)]
    run = read_test_run(write_dump(tmp_path / 'a.pkl', scores, targets))

    def compare(*arrays, images) -> None:
        check_same_images(
            run, read_test_run(write_dump(tmp_path / 'b.pkl', *arrays, images=images))
        )

    compare(scores**2, targets, images=images)
    with pytest.raises(ValueError, match='20 images and 4 classes against 19 and 4'):
        compare(scores[:19], targets[:19], images=images[:19])
    renamed = [*images[:7], 'photos/other.jpg', *images[8:]]
    with pytest.raises(ValueError, match=r"image 7 is '000007\.jpg' in one and 'other"):
        compare(scores, targets, images=renamed)
    targets[5, 2] ^= 1
    with pytest.raises(ValueError, match='other labels for class 2 of image 5'):
        compare(scores, targets, images=images)
