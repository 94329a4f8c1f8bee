"""Fast packing of samples, with the boxes that AP by object size is computed from."""

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

    ``inputs`` is the host's tensor: contiguous, ``(3, H, W)``. A uint8 image of three channels
    is split by OpenCV, in a fifth of the time.

    Args:
        meta_keys (Sequence[str]): Kept in the data sample where they are present. Defaults to the
            host's and these two.
        **kwargs: Other arguments of ``PackInputs``.
    """

    DEFAULT_META_KEYS = (*PackInputs.DEFAULT_META_KEYS, 'instance_labels', 'instance_areas')

    def __init__(self, meta_keys: Sequence[str] = DEFAULT_META_KEYS, **kwargs):
        super().__init__(meta_keys=meta_keys, **kwargs)

    @staticmethod
    def format_input(input_):
        """Return the host's tensor of whatever is under ``input_key``."""
        is_color = isinstance(input_, np.ndarray) and input_.shape[2:] == (3,)
        if not is_color or input_.dtype != np.uint8:
            return PackInputs.format_input(input_)
        planes = np.empty((3, *input_.shape[:2]), np.uint8)
        cv2.split(np.ascontiguousarray(input_), list(planes))
        return torch.from_numpy(planes)
