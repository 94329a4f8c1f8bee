"""Weights: weights-only loading, downloads, published names, conversion, strict fitting.

Imported, it registers its loaders (:mod:`.loaders`) and its ``Pretrained`` initializer
(:mod:`.pretrained_init`) with MMEngine, in the place of MMEngine's own.
"""

from .conversion import Conversion, convert, to_checkpoint
from .load import classes_of, load_weights_only, read_weights
from .loaders import load_from_http, load_from_local, load_from_published
from .pretrained_init import PretrainedInit
from .published import PUBLISHED, PublishedFile, find_published
from .resume import find_resume_checkpoint

__all__ = [
    'PUBLISHED',
    'Conversion',
    'PretrainedInit',
    'PublishedFile',
    'classes_of',
    'convert',
    'find_published',
    'find_resume_checkpoint',
    'load_from_http',
    'load_from_local',
    'load_from_published',
    'load_weights_only',
    'read_weights',
    'to_checkpoint',
]
