"""Browsing of a dataset before training: what the network sees, and what is wrong."""
