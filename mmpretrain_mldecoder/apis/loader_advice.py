"""One sentence on each stage of a data loader: what makes it faster."""

from .loader_speed import COLLATION, LABELS, SEEDING
from .stage_clock import READING

_MORE_WORKERS = 'part of the recipe: give it more workers'
_COPY = 'a resized copy (docs/speed.md)'

_ADVICE = {
    READING: 'files that are read for the first time since the machine started (call again), or a '
    'slow disk or network: put the data on a local disk',
    LABELS: 'what the dataset itself does: if it is a class of yours, see what it does for each '
    'sample, and leave it to MMEngine to serialise the annotations (serialize_data=True)',
    SEEDING: 'it makes a resumed training exact (docs/train.md); DefaultSampler has none of it',
    COLLATION: 'copies the pictures into a batch: smaller pictures, or more workers',
    'LoadImageFromFile': f'decodes the whole photo: make {_COPY}, or for photos that are at least '
    'twice as large as the input decode a fraction (LoadScaledImage, docs/augmentation.md)',
    'LoadScaledImage': f'decodes a fraction already: make {_COPY}',
    'SquareResize': f'almost nothing where the picture has that size already: make {_COPY}',
    'RandomCutout': _MORE_WORKERS,
    'TwoOpRandAugment': _MORE_WORKERS,
    'PackInputs': 'copies the picture: use PackMultiLabelInputs, or more workers',
    'PackMultiLabelInputs': 'copies the picture: smaller pictures, or more workers',
}
_OF_A_COPY = 'the photos are a resized copy already: give it more workers'
_UNKNOWN = 'find out what it does with python -m cProfile, or give it more workers'


def loader_advice(stage: str, is_resized_copy: bool = False) -> str:
    """Return what to do about a stage that takes too long.

    Args:
        stage (str): A key of ``LoaderSpeed.stages``.
        is_resized_copy (bool): Whether the photos are one, which is then not advised. Defaults to
            False.
    """
    name, _, number = stage.rpartition(' ')  # 'RandomFlip 2', the second of its kind
    advice = _ADVICE.get(name if number.isdecimal() else stage, _UNKNOWN)
    return _OF_A_COPY if is_resized_copy and _COPY in advice else advice
