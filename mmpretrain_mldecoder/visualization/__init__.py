"""Figures of predictions and of trainings."""

from .attention_figure import attention_figure, attention_overlay, times_average
from .curves import plot_curves, read_scalars
from .labelled_image import contact_sheet

__all__ = [
    'attention_figure',
    'attention_overlay',
    'contact_sheet',
    'plot_curves',
    'read_scalars',
    'times_average',
]
