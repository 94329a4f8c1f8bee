"""Prediction from Python."""
