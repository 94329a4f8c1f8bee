"""Write a figure so that a reader never meets half a file."""

import os
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


def save_figure(figure: Figure, out: str | os.PathLike) -> Path:
    """Draw ``figure`` as a PNG under a temporary name, then rename it to ``out``.

    Args:
        figure (Figure): Made with ``matplotlib.figure.Figure``, outside of pyplot.
        out (str | PathLike): The PNG; its folder is made, an older file is replaced.

    Returns:
        Path: ``out``.
    """
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(f'.{out.name}.{os.getpid()}')
    try:
        FigureCanvasAgg(figure).print_png(temporary)
        temporary.replace(out)
    finally:
        temporary.unlink(missing_ok=True)
    return out
