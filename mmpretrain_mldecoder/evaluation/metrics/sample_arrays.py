"""Conversion of data samples to the arrays that the metric computes with."""

from collections.abc import Sequence

import numpy as np
import torch
from mmengine.structures import BaseDataElement

from ..functional import object_size_mask


def sample_arrays(
    data_samples: Sequence[dict | BaseDataElement],
    classes: Sequence[str] | None = None,
    with_sizes: bool = False,
) -> dict[str, np.ndarray]:
    """Return sample indices, scores, targets and, on request, size masks of a batch.

    Each data sample has ``pred_score`` ``(C,)`` and either ``gt_score`` ``(C,)`` of 1, 0 and -1 (it
    wins) or ``gt_label``, the indices of the positive classes, repeated or not. Negative classes
    that are in ``gt_label_difficult``, where there is one, are unknown. Sizes are those of
    ``instance_labels`` and ``instance_areas``. The number of scores must match ``classes``, if
    given.

    Returns:
        dict[str, np.ndarray]: ``sample_idx`` ``(B,)`` int64, -1 where a sample has none; ``scores``
        ``(B, C)`` float32; ``targets`` ``(B, C)`` int8; with sizes ``size_masks`` ``(B, C)`` uint8.

    Raises:
        ValueError: If the number of scores is not that of the classes, a label is out of range,
            or a needed field is absent.
    """
    samples = [s.to_dict() if isinstance(s, BaseDataElement) else s for s in data_samples]
    stacked = torch.stack([torch.as_tensor(sample['pred_score']) for sample in samples])
    scores = stacked.float().cpu().numpy()
    num_classes = scores.shape[1]
    if classes is not None and len(classes) != num_classes:
        raise ValueError(
            f'the model gives {num_classes} scores per image, the dataset has {len(classes)} '
            'classes: set num_classes of the head to the number of classes of the dataset.'
        )
    arrays: dict[str, np.ndarray] = dict(
        sample_idx=np.array([int(sample.get('sample_idx', -1)) for sample in samples]),
        scores=scores,
        targets=np.stack([_targets(sample, num_classes) for sample in samples]),
    )
    if with_sizes:
        arrays['size_masks'] = np.stack([_size_mask(sample, num_classes) for sample in samples])
    return arrays


def _targets(sample: dict, num_classes: int) -> np.ndarray:
    if 'gt_score' in sample:
        score = np.asarray(torch.as_tensor(sample['gt_score']).cpu())
        legal = (score == 1) | (score == 0) | (score == -1)
        if score.shape != (num_classes,) or not legal.all():
            raise ValueError(
                f'gt_score of {_name(sample)} must hold {num_classes} values 1, 0 or -1 (unknown), '
                f'got shape {score.shape} and the values {np.unique(score)[:5]}.'
            )
        targets = score.astype(np.int8)
    elif 'gt_label' in sample:
        targets = np.zeros(num_classes, dtype=np.int8)
        targets[_labels(sample, 'gt_label', num_classes)] = 1
    else:
        raise ValueError(f'{_name(sample)} has neither gt_score nor gt_label to evaluate against.')
    if 'gt_label_difficult' in sample:
        doubtful = _labels(sample, 'gt_label_difficult', num_classes)
        targets[doubtful[targets[doubtful] == 0]] = -1
    return targets


def _labels(sample: dict, key: str, num_classes: int) -> np.ndarray:
    label = np.asarray(torch.as_tensor(sample[key]).cpu(), dtype=np.int64)
    if label.size and not 0 <= label.min() <= label.max() < num_classes:
        raise ValueError(
            f'{key} of {_name(sample)} must be in [0, {num_classes}), got {label.tolist()}.'
        )
    return label


def _size_mask(sample: dict, num_classes: int) -> np.ndarray:
    absent = [key for key in ('instance_labels', 'instance_areas') if key not in sample]
    if absent:
        raise ValueError(
            f'by_size=True needs {" and ".join(absent)}, which {_name(sample)} lacks. Put '
            'PackMultiLabelInputs in place of PackInputs in the pipeline; the dataset must provide '
            'them, as COCOMultiLabel does.'
        )
    return object_size_mask(sample['instance_labels'], sample['instance_areas'], num_classes)


def _name(sample: dict) -> str:
    return str(sample.get('img_path') or f'sample {sample.get("sample_idx", "without sample_idx")}')
