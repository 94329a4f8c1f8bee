"""The network and the loss: torch only, usable without MMPretrain."""
