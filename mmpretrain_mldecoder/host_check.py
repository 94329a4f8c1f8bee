"""Is MMPretrain there, and can it be imported beside what else is installed?"""

import warnings
from importlib import metadata
from importlib.util import find_spec


def check_host() -> None:
    """Raise if the host stack is missing; warn of what is known to break it.

    Raises:
        ImportError: If mmengine, mmcv or mmpretrain is missing.
    """
    missing = [name for name in ('mmengine', 'mmcv', 'mmpretrain') if find_spec(name) is None]
    if missing:
        raise ImportError(
            f'mmpretrain_mldecoder runs on MMPretrain, and {", ".join(missing)} cannot be '
            "imported. Install one host stack, not both: pip install 'mmpretrain_mldecoder[lite]' "
            "(mmengine, mmcv-lite, mmpretrain) or pip install 'mmpretrain_mldecoder[onedl]' "
            '(the maintained onedl-* forks). A full mmcv that is installed already does as well as '
            'mmcv-lite.'
        )
    # Where both are there, MMPretrain imports its multimodal models, which inherit from names that
    # transformers 5 has no more. The TypeError that it then ends in does not tell.
    transformers = _version('transformers')
    if transformers and int(transformers.partition('.')[0]) >= 5 and _version('pycocotools'):
        warnings.warn(
            f'transformers {transformers} and pycocotools are both installed: importing '
            'mmpretrain.models then fails with a TypeError, because its multimodal models want '
            'transformers below 5. Uninstall one of the two; nothing here needs transformers, and '
            'pycocotools is only for COCOMultiLabel.coco.'
        )


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
