"""Datasets, samplers and transforms registered in MMPretrain's registries."""
