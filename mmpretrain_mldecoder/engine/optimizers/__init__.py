"""Parameter groups and optimiser wrappers."""
