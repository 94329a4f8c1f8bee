"""Published weights by name or as plain files, in the names of our models.

Imported, it registers loaders and an initializer with MMEngine in the place of its own; see
:mod:`.published`, :mod:`.plain_files` and :mod:`.pretrained_init` for what that changes.
"""

from .conversion import Conversion, convert, recognise, to_checkpoint
from .fit_hook import CheckpointFitHook
from .plain_files import load_from_http, load_from_local
from .pretrained_init import PretrainedInit
from .published import PUBLISHED, PublishedFile, find_published, load_from_published
from .read import read_weights

__all__ = [
    'PUBLISHED',
    'CheckpointFitHook',
    'Conversion',
    'PretrainedInit',
    'PublishedFile',
    'convert',
    'find_published',
    'load_from_http',
    'load_from_local',
    'load_from_published',
    'read_weights',
    'recognise',
    'to_checkpoint',
]
