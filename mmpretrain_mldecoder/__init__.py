"""ML-Decoder and multi-label classification for MMPretrain.

Importing the package registers everything in MMPretrain's registries, so one line in a config is
enough: ``custom_imports = dict(imports=['mmpretrain_mldecoder'], allow_failed_imports=False)``. It
also makes the rows of ``configs/`` known by name to ``mmpretrain.list_models`` and ``get_model``.
"""

import warnings
from importlib.util import find_spec

from .version import __version__

_missing = [name for name in ('mmengine', 'mmcv', 'mmpretrain') if find_spec(name) is None]
if _missing:
    raise ImportError(
        f'mmpretrain_mldecoder runs on MMPretrain, and {", ".join(_missing)} cannot be imported. '
        "Install one host stack, not both: pip install 'mmpretrain_mldecoder[lite]' "
        "(mmengine, mmcv-lite, mmpretrain) or pip install 'mmpretrain_mldecoder[onedl]' "
        '(the maintained onedl-* forks). A full mmcv that is already installed does as well as '
        'mmcv-lite.'
    )

with warnings.catch_warnings():
    # mmcv-lite has no compiled ops, says so for each, and nothing here wants one.
    warnings.filterwarnings('ignore', message='Fail to import ``MultiScaleDeformableAttention``')
    try:
        from . import datasets, engine, evaluation, models, weights
    except TypeError as error:
        if not (find_spec('transformers') and find_spec('pycocotools')):
            raise
        # MMPretrain's multimodal models inherit from names that transformers 5 has no more.
        raise ImportError(
            'mmpretrain.models cannot be imported: where transformers and pycocotools are both '
            'installed it imports its multimodal models, which want an older transformers. '
            'Uninstall one of the two; nothing here needs transformers, and pycocotools is only '
            'for COCOMultiLabel.coco'
        ) from error
    from .apis.model_index import register_model_index

register_model_index()

__all__ = ['__version__', 'datasets', 'engine', 'evaluation', 'models', 'weights']
