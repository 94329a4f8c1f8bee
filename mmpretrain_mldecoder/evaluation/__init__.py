"""Metrics: the math in ``functional``, the glue to MMEngine in ``metrics``."""
