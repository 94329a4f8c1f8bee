"""Functional."""
