"""The rows of ``configs/``, by name, for MMPretrain's ``list_models`` and ``get_model``."""

import warnings
from functools import cache
from pathlib import Path

from mmpretrain.apis.model import ModelHub

PACKAGE = Path(__file__).resolve().parent


def find_model_index() -> Path | None:
    """Find ``model-index.yml``, beside which ``configs/`` lies.

    Returns:
        Path, optional: In ``.mim`` of an installed package (an editable one has links there), else
        in the source checkout around the package; None if only the package was copied.
    """
    for folder in (PACKAGE / '.mim', PACKAGE.parent):
        if (folder / 'model-index.yml').is_file():
            return (folder / 'model-index.yml').resolve()
    return None


@cache  # once a process
def register_model_index() -> None:
    """Make every row known by name to MMPretrain.

    Importing the package calls this. It reads the four small YAML files of the index at once,
    because MMPretrain offers no hook to do so when a model is asked for; that takes 0.03 s on one
    core, and no config is read. If a name is taken, because the index was registered by hand or
    another package has it, a warning names both files, and the registration ends there.
    """
    path = find_model_index()
    if path is None:
        return
    try:
        ModelHub.register_model_index(path, config_prefix=path.parent)
    except ValueError as conflict:
        warnings.warn(
            f'{conflict} Importing mmpretrain_mldecoder registers its rows: '
            'ModelHub.register_model_index need not be called for them.'
        )
