"""Analysis of datasets, test runs, loaders and results; the demos."""
