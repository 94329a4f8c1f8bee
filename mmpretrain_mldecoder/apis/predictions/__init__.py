"""Prediction of many images into a folder, resumable and on several ranks."""
