"""Weights: weights-only loading, downloads, published names, conversion, strict fitting.

Importing it replaces MMEngine's loaders and its ``Pretrained`` initializer; see
:mod:`.host_loaders`, :mod:`.published`, :mod:`.plain_files` and :mod:`.pretrained_init`.
"""

from . import host_loaders
from .conversion import Conversion, convert, recognise, to_checkpoint
from .load import load_weights_only, read_weights
from .plain_files import load_from_http, load_from_local
from .pretrained_init import PretrainedInit
from .published import PUBLISHED, PublishedFile, find_published, load_from_published
from .resume import find_resume_checkpoint

__all__ = [
    'PUBLISHED',
    'Conversion',
    'PretrainedInit',
    'PublishedFile',
    'convert',
    'find_published',
    'find_resume_checkpoint',
    'host_loaders',
    'load_from_http',
    'load_from_local',
    'load_from_published',
    'load_weights_only',
    'read_weights',
    'recognise',
    'to_checkpoint',
]
