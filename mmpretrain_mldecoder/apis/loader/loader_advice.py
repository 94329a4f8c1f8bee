"""One sentence on each stage of a data loader: what makes it faster."""

from .loader_speed import COLLATION, LABELS, SEEDING
from .stage_clock import READING

_RECIPE = 'part of the recipe: give it more workers'
_DECODES = 'decodes the whole photo: give it more workers'
_DECODES_TOO_MUCH = (
    'decodes the whole photo: make a resized copy (docs/speed.md), or decode a fraction of large '
    'ones (LoadScaledImage, docs/augmentation.md)'
)

_ADVICE = {
    READING: 'files that are read for the first time since the machine started (call again), or a '
    'slow disk or network: put the data on a local disk',
    LABELS: 'what the dataset does beside its pipeline: if it is a class of yours, see what that '
    'does for each sample',
    SEEDING: 'it makes a resumed training exact (docs/train.md); DefaultSampler has none of it',
    COLLATION: 'copies the pictures into a batch: give it more workers',
    'LoadImageFromFile': _DECODES,
    'LoadWholeImage': _DECODES,
    'LoadScaledImage': 'decodes a part of the photo already: give it more workers',
    'SquareResize': _RECIPE,
    'RandomCutout': _RECIPE,
    'TwoOpRandAugment': _RECIPE,
    'PackInputs': 'copies the picture, and PackMultiLabelInputs does it faster',
    'PackMultiLabelInputs': 'copies the picture: give it more workers',
}
_UNKNOWN = 'give it more workers, or find out what it does with python -m cProfile'

# For training on photos that are squashed to a square, and are not such a copy yet.
_ADVICE_WITH_COPY = {
    'LoadImageFromFile': _DECODES_TOO_MUCH,
    'LoadWholeImage': _DECODES_TOO_MUCH,
    'LoadScaledImage': 'decodes a fraction already: make a resized copy (docs/speed.md)',
    'SquareResize': 'next to nothing for a resized copy of that size (docs/speed.md)',
}


def loader_advice(stage: str, copy_would_help: bool = False) -> str:
    """Return what to do about a stage that takes too long.

    Args:
        stage (str): A key of ``LoaderSpeed.stages``.
        copy_would_help (bool): Whether a resized copy is worth advising, as
            ``LoaderSpeed.copy_would_help`` says. Defaults to False.
    """
    name, _, number = stage.rpartition(' ')  # 'RandomFlip 2', the second of its kind
    stage = name if number.isdecimal() else stage
    if copy_would_help and stage in _ADVICE_WITH_COPY:
        return _ADVICE_WITH_COPY[stage]
    return _ADVICE.get(stage, _UNKNOWN)
