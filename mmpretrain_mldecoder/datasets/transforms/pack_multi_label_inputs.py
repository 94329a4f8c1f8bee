"""Pack a picture together with the boxes that AP by object size is computed from."""

from collections.abc import Sequence

from mmpretrain.datasets import PackInputs
from mmpretrain.registry import TRANSFORMS


@TRANSFORMS.register_module()
class PackMultiLabelInputs(PackInputs):
    """MMPretrain's ``PackInputs`` that also keeps ``instance_labels`` and ``instance_areas``.

    ``COCOMultiLabel`` provides both, and ``MultiLabelMAP(by_size=True)`` reads them from the data
    sample. A picture without them, such as one that is only predicted, is packed all the same.

    Args:
        meta_keys (Sequence[str]): Kept in the data sample where they are present. Defaults to the
            host's and these two.
        **kwargs: Other arguments of ``PackInputs``.
    """

    DEFAULT_META_KEYS = (*PackInputs.DEFAULT_META_KEYS, 'instance_labels', 'instance_areas')

    def __init__(self, meta_keys: Sequence[str] = DEFAULT_META_KEYS, **kwargs):
        super().__init__(meta_keys=meta_keys, **kwargs)
