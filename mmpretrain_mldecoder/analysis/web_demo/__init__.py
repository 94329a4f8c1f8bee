"""A page on which one drops a photo."""
