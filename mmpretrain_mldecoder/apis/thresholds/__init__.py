"""Thresholds per class: fitted to a split, stored in a checkpoint."""
