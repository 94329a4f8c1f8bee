"""What the labels of a run decide: whether unknown ones count as absent, and weights of classes."""

import numpy as np

from ..datasets.label_files import SplitCounts
from ..fileio.terminal import printable
from .run_config import ABSENT, LEFT_OUT, Choice

IMBALANCED = 10  # images of the most frequent class for one of the rarest


def choose_by_labels(counts: SplitCounts, unknown: str | None = None) -> dict[str, Choice]:
    """Choose what unknown labels are in each split, and whether classes have weights.

    A loss and a metric that leave unknown labels out need negatives. Where positives alone were
    collected, all scores would rise to 1, and there would be no mAP.

    Args:
        counts (SplitCounts): Of all splits.
        unknown (str, optional): ``LEFT_OUT`` or ``ABSENT``. Defaults to what is known in each
            split: absent if labels known to be absent are not more than those known to be present,
            and not more than the unknown ones.

    Returns:
        dict[str, Choice]: ``unknown_train`` and so on, of the splits with unknown labels, and
        ``weights`` if the classes are imbalanced; a reason is a sentence, that of several splits
        the same.
    """
    values: dict[str, str] = {}
    facts: dict[str, list[str]] = {}
    for split, number in counts.images.items():
        present, hidden = int(counts.positives[split].sum()), int(counts.unknown[split].sum())
        absent = number * len(counts.classes) - present - hidden
        if hidden:
            values[split] = unknown or (ABSENT if absent <= min(present, hidden) else LEFT_OUT)
            known = f'{split} (present {present:,}, absent {absent:,}, unknown {hidden:,})'
            facts.setdefault(values[split], []).append(known)
    reasons = {value: _WHY[value].format(', '.join(known)) for value, known in facts.items()}
    choices = {f'unknown_{split}': Choice(value, reasons[value]) for split, value in values.items()}
    positives = counts.positives['train']
    most, least = positives.argmax(), np.where(positives, positives, positives.max() + 1).argmin()
    if positives[most] >= IMBALANCED * positives[least] > 0:
        choices['weights'] = Choice(
            None,
            f'classes have no weights, though {positives[most]:,} images of train show '
            f'{printable(counts.classes[most])!r} and {positives[least]:,} '
            f'{printable(counts.classes[least])!r}: where they were measured they raised no rare '
            'class and cost mAP (docs/imbalance.md); to try them, set '
            "model.head.loss.pos_weight='auto'",
        )
    return choices


_WHY = {
    LEFT_OUT: 'unknown labels are left out of loss and mAP in {}: best where labels are unknown at '
    'random (docs/partial_labels.md; --unknown absent is the other way)',
    ABSENT: 'unknown labels count as absent in {}: without negatives a model learns that '
    'everything is present, and there is no mAP to tell; the mAP is too low by the labels that are '
    'missing (docs/partial_labels.md; --unknown left-out is the other way)',
}
