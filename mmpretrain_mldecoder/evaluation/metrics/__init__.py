"""Metrics of MMEngine's kind, registered in MMPretrain's ``METRICS``."""

from .multi_label_map import MultiLabelMAP

__all__ = ['MultiLabelMAP']
