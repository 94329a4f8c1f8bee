import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mmpretrain_mldecoder.visualization import figure as module


@pytest.fixture
def figures(monkeypatch) -> list[Figure]:
    """The figures that were saved so far."""
    saved = []
    monkeypatch.setattr(
        module, 'FigureCanvasAgg', lambda figure: saved.append(figure) or FigureCanvasAgg(figure)
    )
    return saved
