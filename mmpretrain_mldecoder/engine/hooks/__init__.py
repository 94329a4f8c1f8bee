"""Hooks of a training or test: checkpoints, averages, seeds, and what ends a run."""
