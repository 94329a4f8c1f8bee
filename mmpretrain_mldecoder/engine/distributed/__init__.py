"""Several processes, with GPUs and without."""
