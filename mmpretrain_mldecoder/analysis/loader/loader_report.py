"""Throughput of a data loader as a table."""

from rich.console import Console
from rich.table import Table

from .loader_speed import COLLATION, LABELS, READING, SEEDING, WARM_UP, LoaderSpeed

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
    COLLATION: 'copies the images into a batch: give it more workers',
    'LoadImageFromFile': _DECODES,
    'LoadWholeImage': _DECODES,
    'LoadScaledImage': 'decodes a part of the photo already: give it more workers',
    'SquareResize': _RECIPE,
    'RandomCutout': _RECIPE,
    'TwoOpRandAugment': _RECIPE,
    'PackInputs': 'copies the image, and PackMultiLabelInputs does it faster',
    'PackMultiLabelInputs': 'copies the image: give it more workers',
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


_WORTH_A_WORD = 0.1  # share of a stage that gets a sentence
_BUSY = 0.9  # share of a core above which it counts as a whole one


def print_loader_speed(speed: LoaderSpeed, gpu_rate: float | None, console: Console) -> None:
    """Print the stages, what to do about the slow ones, the rates, and the cores that a GPU needs.

    Args:
        speed (LoaderSpeed): What was measured.
        gpu_rate (float, optional): Photos a second that a GPU trains; None prints the rule.
        console (Console): Where to.
    """
    _print_stages(speed, console)
    _print_rates(speed, gpu_rate, console)


def _print_stages(speed: LoaderSpeed, console: Console) -> None:
    """Print the table of stages, and a sentence on each that takes long."""
    table = Table(title=f'{speed.split}: one sample on one core', title_justify='left')
    for title, justify in (('stage', 'left'), ('ms', 'right'), ('share', 'right'), ('', 'left')):
        table.add_column(title, justify=justify)
    whole = sum(speed.stages.values())
    for stage, ms in speed.stages.items():
        table.add_row(stage, f'{ms:.2f}', f'{ms / whole:.0%}', '█' * round(30 * ms / whole))
    table.add_section()
    table.add_row('all', f'{whole:.2f}', '', f'{speed.core_rate:,.0f} photos/s')
    console.print(table)
    console.print(f'mean of {speed.photos:,} photos, after {WARM_UP} to warm up')
    if speed.core_share < _BUSY:
        console.print(
            f'This process had {speed.core_share:.0%} of its core: other programs run here (then '
            'the machine can do better), or a stage waits for something.'
        )
    for stage, ms in sorted(speed.stages.items(), key=lambda item: -item[1]):
        if ms / whole >= _WORTH_A_WORD:
            slowest = 'slowest: ' if stage == speed.slowest else ''
            advice = loader_advice(stage, speed.copy_would_help)
            console.print(f'{slowest}[bold]{stage}[/bold], {ms / whole:.0%}: {advice}')


def _print_rates(speed: LoaderSpeed, gpu_rate: float | None, console: Console) -> None:
    """Print the rate of the loader and the cores that a GPU needs."""
    workers = f'{speed.workers} workers' if speed.workers else 'no workers'
    console.print(
        f'\nthrough the loader ({workers}, {speed.cores} cores here): '
        f'[bold]{speed.loader_rate:,.0f} photos/s[/bold]; an epoch of {speed.num_photos:,} samples '
        f'in {speed.num_photos / speed.loader_rate / 60:,.1f} min'
    )
    if gpu_rate is None:
        console.print(
            f'A GPU that trains X photos/s is kept busy by X / {speed.core_rate:,.0f} cores like '
            'these, with as many workers; --gpu-photos-per-second X does the sum.'
        )
        return
    console.print(
        f'A GPU that trains {gpu_rate:,.0f} photos/s is kept busy by '
        f'[bold]{speed.cores_for(gpu_rate):,.1f} cores[/bold] like these, with as many workers.'
    )
