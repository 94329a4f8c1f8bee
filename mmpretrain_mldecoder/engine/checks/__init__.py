"""Checks of a config at the start of a run, and errors that name the key and the value."""
