"""Write a figure so that a reader never meets half a file."""

import os
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ..fileio.atomic_write import atomic_write


def save_figure(figure: Figure, out: str | os.PathLike) -> Path:
    """Draw ``figure`` as a PNG under a temporary name, then rename it to ``out``.

    Args:
        figure (Figure): Made with ``matplotlib.figure.Figure``, outside of pyplot.
        out (str | PathLike): The PNG; its folder is made, an older file is replaced.

    Returns:
        Path: ``out``.
    """
    with atomic_write(out) as path:
        FigureCanvasAgg(figure).print_png(path)
    return Path(out)
