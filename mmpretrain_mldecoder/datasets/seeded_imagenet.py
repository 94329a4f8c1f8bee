"""ImageNet whose augmentation does not depend on the life of a worker."""

from mmpretrain.datasets import ImageNet
from mmpretrain.registry import DATASETS

from .seeded_sampler import SeededSamplesMixin


@DATASETS.register_module()
class SeededImageNet(SeededSamplesMixin, ImageNet):
    """MMPretrain's ``ImageNet`` for use with ``SeededSampler``; arguments as there.

    Folders and labels are the host's: class folders in alphabetical order below
    ``data_root/split``, or a list ``data_root/meta/{split}.txt``::

        data/imagenet
        ├── train
        │   ├── n01440764
        │   │   ├── n01440764_18.JPEG
        │   │   └── ...
        │   └── ...
        └── val
            ├── n01440764
            │   └── ...
            └── ...

    The number of folders must be that of the classes, 1000 unless ``classes`` names others.

    Example:
        >>> SeededImageNet(data_root='data/imagenet', split='train')  # doctest: +SKIP
    """
