import cv2
import pytest
from matplotlib.figure import Figure

from mmpretrain_mldecoder.visualization.save_figure import save_figure


def test_png_of_the_asked_size_in_a_new_folder(tmp_path):
    out = save_figure(Figure(figsize=(2, 1), dpi=50), tmp_path / 'new' / 'figure.png')
    assert cv2.imread(str(out)).shape == (50, 100, 3)
    assert [path.name for path in out.parent.iterdir()] == ['figure.png']


def test_failure_leaves_the_old_image_and_no_other_file(tmp_path):
    out = tmp_path / 'figure.png'
    out.write_bytes(b'old')
    figure = Figure()
    figure.text(0.5, 0.5, r'$\nosuchcommand$')
    with pytest.raises(ValueError, match='nosuchcommand'):
        save_figure(figure, out)
    assert out.read_bytes() == b'old'
    assert list(tmp_path.iterdir()) == [out]
