"""Necks."""

from .first_patch import FirstPatch

__all__ = ['FirstPatch']
