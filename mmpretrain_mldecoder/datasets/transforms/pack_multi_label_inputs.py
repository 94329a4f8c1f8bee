"""Fast packing of samples, with the boxes for AP by object size and with doubtful labels."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from mmpretrain.datasets import PackInputs
from mmpretrain.registry import TRANSFORMS


@TRANSFORMS.register_module()
class PackMultiLabelInputs(PackInputs):
    """MMPretrain's ``PackInputs``: faster, and keeps ``instance_labels`` and ``instance_areas``.

    ``COCOMultiLabel`` provides both, and ``MultiLabelMAP(by_size=True)`` reads them from the data
    sample. A sample without them, as in prediction, is packed as well.

    ``gt_label_difficult``, which MMPretrain's ``VOC`` and ``COCOMultiLabel`` provide, lists classes
    of which an image has doubtful objects. One that is not in ``gt_label``, too, is unknown, in the
    loss of ``MLDecoderHead`` and in ``MultiLabelMAP``, as it is in the VOC challenge.

    ``inputs`` is the host's tensor: contiguous, ``(3, H, W)``. A uint8 image of three channels
    is split by OpenCV, in a fifth of the time.

    Args:
        meta_keys (Sequence[str]): Kept in the data sample where they are present. Defaults to the
            host's and these three.
        difficult (str): What a doubtful label is: ``'unknown'``, ``'negative'`` (as in the
            training of MMPretrain's heads) or ``'positive'``. Defaults to ``'unknown'``.
        num_classes (int, optional): With it ``gt_score`` ``(C,)`` of 1, 0 and -1 is packed for
            samples with ``gt_label_difficult``, which heads of MMPretrain read; they need a loss
            that leaves -1 out, such as ``DetachedAsymmetricLoss``. ``COCOMultiLabel`` gives it
            anyway. Defaults to None.
        absent (str): What a class is that is in neither list: ``'negative'``, or ``'unknown'``
            where not all labels are listed, for training with a loss that learns from unknown ones;
            it needs ``num_classes``. A 0 of a ``gt_score`` is such a class. Defaults to
            ``'negative'``.
        **kwargs: Other arguments of ``PackInputs``.
    """

    DEFAULT_META_KEYS = (
        *PackInputs.DEFAULT_META_KEYS,
        *('instance_labels', 'instance_areas', 'gt_label_difficult'),
    )

    def __init__(
        self,
        meta_keys: Sequence[str] = DEFAULT_META_KEYS,
        difficult: str = 'unknown',
        num_classes: int | None = None,
        absent: str = 'negative',
        **kwargs,
    ):
        if difficult not in ('unknown', 'negative', 'positive'):
            raise ValueError(
                f"difficult must be 'unknown', 'negative' or 'positive', got {difficult!r}"
            )
        if absent not in ('negative', 'unknown'):
            raise ValueError(f"absent must be 'negative' or 'unknown', got {absent!r}")
        if absent == 'unknown' and num_classes is None:
            raise ValueError("absent='unknown' needs num_classes: set it to that of the head")
        super().__init__(meta_keys=meta_keys, **kwargs)
        self.difficult = difficult
        self.num_classes = num_classes
        self.absent = absent

    def transform(self, results: dict) -> dict:
        """Return ``inputs`` and ``data_samples``."""
        if results.get('gt_label_difficult') is not None:
            results = dict(results)
            certain = set(np.asarray(results['gt_label']).tolist())
            doubtful = set(np.asarray(results.pop('gt_label_difficult')).tolist()) - certain
            value = dict(unknown=-1, negative=0, positive=1)[self.difficult]
            if value == 1:
                certain |= doubtful
            results['gt_label'] = np.array(sorted(certain), np.int64)
            if value == -1:
                results['gt_label_difficult'] = np.array(sorted(doubtful), np.int64)
            if 'gt_score' in results:
                results['gt_score'] = np.array(results['gt_score'])
            elif value == -1 and self.num_classes is not None:
                results['gt_score'] = self._score(results)
            if 'gt_score' in results:
                results['gt_score'][list(doubtful)] = value
        if self.absent == 'unknown' and 'gt_label' in results:
            score = results['gt_score'] if 'gt_score' in results else self._score(results)
            results = dict(results, gt_score=np.where(np.asarray(score) == 0, -1, score))
        return super().transform(results)

    def _score(self, results: dict) -> np.ndarray:
        """Return 1 at every label, else 0."""
        score = np.zeros(self.num_classes, np.float32)
        score[np.asarray(results['gt_label'], np.int64)] = 1
        return score

    @staticmethod
    def format_input(input_):
        """Return the host's tensor of whatever is under ``input_key``."""
        is_color = isinstance(input_, np.ndarray) and input_.shape[2:] == (3,)
        if not is_color or input_.dtype != np.uint8:
            return PackInputs.format_input(input_)
        planes = np.empty((3, *input_.shape[:2]), np.uint8)
        cv2.split(np.ascontiguousarray(input_), list(planes))
        return torch.from_numpy(planes)
