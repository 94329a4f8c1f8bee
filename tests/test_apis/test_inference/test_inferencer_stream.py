"""Predictions of many images come as one asks for them."""

import pytest


def test_results_come_before_the_last_image_is_read(inferencer, fake_coco, monkeypatch):
    read = []

    def pipeline(image):
        read.append(image)
        return original(image)

    original = inferencer.pipeline
    monkeypatch.setattr(inferencer, 'pipeline', pipeline)
    paths = [str(path) for path in sorted((fake_coco / 'val2017').iterdir())]
    stream = inferencer.stream(paths, thr=0)
    assert read == []
    seen = []
    for prediction in stream:
        seen.append(prediction['path'])
        assert len(read) <= len(seen) + 2  # one batch of 3
    assert seen == read == paths


def test_stream_equals_call(inferencer, fake_coco):
    folder = fake_coco / 'val2017'
    assert list(inferencer.stream(folder, 0.3, 2)) == inferencer(folder, 0.3, 2)


def test_unreadable_images_are_left_out(inferencer, fake_coco, tmp_path):
    good = [str(path) for path in sorted((fake_coco / 'val2017').iterdir())]
    (tmp_path / 'broken.jpg').write_bytes(b'not an image')
    (tmp_path / 'list.txt').write_text('broken.jpg\ngone.jpg')
    reported = []
    predictions = inferencer.stream(
        [good[0], tmp_path / 'list.txt', *good[1:]],
        thr=0,
        on_unreadable=lambda path, reason: reported.append((path, reason)),
    )
    # Another composition of the batches: a few float32 roundings.
    for got, want in zip(predictions, inferencer(good, thr=0), strict=True):
        assert got['path'] == want['path']
        assert got['scores'] == pytest.approx(want['scores'], abs=1e-5)
    assert [path for path, _ in reported] == [str(tmp_path / n) for n in ('broken.jpg', 'gone.jpg')]
    assert [reason.partition(':')[0] for _, reason in reported] == [
        'no image in it',
        'No such file or directory',
    ]


def test_wrong_arguments_of_a_stream_raise_at_once(inferencer, fake_coco):
    with pytest.raises(ValueError, match='thr must be in'):
        inferencer.stream(fake_coco / 'val2017', thr=2)
    with pytest.raises(FileNotFoundError, match='no such image'):
        inferencer.stream('gone.jpg')
