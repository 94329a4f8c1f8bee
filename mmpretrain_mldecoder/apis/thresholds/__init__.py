"""One threshold a class: fitted to a split, stored in the checkpoint."""
