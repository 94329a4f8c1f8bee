"""Test-time augmentation."""

from .multi_label_tta import MultiLabelTTA

__all__ = ['MultiLabelTTA']
