"""Checkpoints: read weights-only, found, fetched."""
