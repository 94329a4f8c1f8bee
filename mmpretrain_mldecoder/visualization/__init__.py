"""Figures of predictions and of trainings."""

from .attention_figure import attention_figure, attention_overlay, times_average
from .contact_sheet import contact_sheet
from .curves import plot_curves, read_scalars

__all__ = [
    'attention_figure',
    'attention_overlay',
    'contact_sheet',
    'plot_curves',
    'read_scalars',
    'times_average',
]
