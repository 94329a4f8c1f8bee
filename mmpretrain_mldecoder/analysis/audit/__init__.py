"""Suspected errors in labels: scores of images that were not trained on, and a page to decide."""
