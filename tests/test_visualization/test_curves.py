import json

import cv2
import pytest
from matplotlib.colors import to_rgb

from mmpretrain_mldecoder.visualization import plot_curves, read_scalars


def train(step, loss, lr=0.1) -> dict:
    return dict(lr=lr, loss=loss, epoch=1, iter=step, step=step)


def val(epoch, ema, raw) -> dict:
    return {'coco/mAP': ema, 'coco/mAP_raw': raw, 'time': 0.1, 'step': epoch}


def write_log(work_dir, time, records, tail=''):
    folder = work_dir / time / 'vis_data'
    folder.mkdir(parents=True)
    lines = [json.dumps(record) + '\n' for record in records]
    (folder / 'scalars.json').write_text(''.join(lines) + tail)


@pytest.fixture
def resumed(tmp_path):
    """A training that was killed in its third epoch and resumed from the end of its second."""
    first = [train(10, 9), train(20, 8), val(1, 50, 40), train(30, 7), train(40, 6)]
    first += [val(2, 60, 65), train(50, 100)]
    write_log(tmp_path, '20240101_000000', first, tail='{"lr": 0.1, "lo')
    write_log(tmp_path, '20240101_000100', [train(50, 5), train(60, 4), val(3, 80, 70)])
    return tmp_path


def test_runs_are_joined_by_step(resumed):
    with pytest.warns(UserWarning, match=r'scalars.json: 1 of 8 lines are left out, .* line 8'):
        training, validation = read_scalars(resumed)
    assert [(r['step'], r['loss']) for r in training] == [(10 * i, 10 - i) for i in range(1, 7)]
    assert [(r['step'], r['coco/mAP']) for r in validation] == [(1, 50), (2, 60), (3, 80)]
    # repeated steps off the old grid are dropped
    write_log(resumed, '20240101_000200', [train(s, 2) for s in (25, 35, 45)])
    with pytest.warns(UserWarning):
        training, _ = read_scalars(resumed)
    assert [r['step'] for r in training] == [10, 20, 25, 35, 45]


@pytest.mark.filterwarnings('ignore:.*lines are left out')
def test_curves_hold_the_logged_values(resumed, figures):
    image = cv2.imread(str(plot_curves(resumed, resumed / 'new' / 'curves.png')))[..., ::-1]
    loss_axes, map_axes, rate_axes = figures[0].axes
    drawn = [[line.get_xydata().tolist() for line in axes.lines] for axes in figures[0].axes]
    assert drawn[0] == [[[10 * i, 10 - i] for i in range(1, 7)]]
    assert drawn[1] == [[[1, 50], [2, 60], [3, 80]], [[1, 40], [2, 65], [3, 70]]]
    assert [line.get_label() for line in map_axes.lines] == [
        'EMA weights, best 80.00',
        'raw weights, best 70.00',
    ]
    for axes in (loss_axes, map_axes, rate_axes):
        for line in axes.lines:
            assert (abs(image / 255 - to_rgb(line.get_color())) < 0.02).all(-1).sum() > 100


def test_training_without_validation_or_without_numbers(tmp_path):
    write_log(tmp_path, '20240101_000000', [train(10, 9)])
    assert plot_curves(tmp_path, tmp_path / 'curves.png').is_file()
    write_log(tmp_path, '20240102_000000', [val(1, 'high', None), val(2, 5, 4)])
    assert plot_curves(tmp_path, tmp_path / 'curves.png').is_file()


def test_no_training_log(tmp_path):
    for records in ([], [val(0, 50, 40)]):  # the second is what a run that only tests leaves
        write_log(tmp_path, f'2024010{len(records)}_000000', records)
        with pytest.raises(FileNotFoundError, match=r'no training log in .*--work-dir'):
            plot_curves(tmp_path, tmp_path / 'curves.png')
    write_log(tmp_path / 'work_dir', '20240102_000000', [train(10, 9)])
    assert plot_curves(tmp_path / 'work_dir', tmp_path / 'curves.png').is_file()


BROKEN = [
    *('', '{"lr": 0.1, "lo', '\0' * 50, '[1]', 'null', '{}', '[' * 100_000, '1' * 5000),
    *('{"step": "1"}', '{"step": 1, "loss": null, "lr": 1}', '{"step": 1, "loss": 2}'),
]


@pytest.mark.filterwarnings('ignore:.*lines are left out')
def test_lines_that_are_no_records_are_left_out(tmp_path):
    tail = '\n'.join([*BROKEN, json.dumps(val(1, 5, 4))])
    write_log(tmp_path, '20240101_000000', [train(10, 9)], tail)
    training, validation = read_scalars(tmp_path)
    assert [r['step'] for r in training] == [10] and [r['step'] for r in validation] == [1]


@pytest.mark.parametrize(
    'content', [b'\x80\x04\n\x95.\n', b'<html>\n</html>\n', b'\xff\xfe{\0\n\0']
)
def test_foreign_file_is_named(tmp_path, content):
    write_log(tmp_path, '20240101_000000', [train(10, 9)])
    path = tmp_path / '20240102_000000' / 'vis_data' / 'scalars.json'
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f'{path} is no log of a training: remove it'):
        read_scalars(tmp_path)
    path.unlink()
    assert len(read_scalars(tmp_path)[0]) == 1
