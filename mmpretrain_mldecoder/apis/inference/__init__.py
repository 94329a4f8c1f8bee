"""Prediction of images in memory or files: pipeline, network, labels and scores."""
