"""ImageNet and VOC for ``SeededSampler``, with labels that are validated."""

import os.path as osp
from xml.etree import ElementTree

from mmengine.fileio import LocalBackend, get_file_backend, list_from_file
from mmpretrain.datasets import VOC, ImageNet
from mmpretrain.registry import DATASETS

from .image_files import find_files
from .seeded_sampler import SeededSamplesMixin
from .skip_unreadable import SkipUnreadableMixin


@DATASETS.register_module()
class SeededImageNet(SeededSamplesMixin, SkipUnreadableMixin, ImageNet):
    """MMPretrain's ``ImageNet`` for use with ``SeededSampler``; arguments as there.

    ``max_unreadable`` is one more, by default 10: see :class:`SkipUnreadableMixin`.

    Class folders, labels by their alphabetical order. Their number must be that of the classes,
    1000 unless ``classes`` names others::

        data/imagenet                     data_root='data/imagenet'
        ├── train                         split='train'
        │   ├── n01440764/n01440764_18.JPEG
        │   └── ...
        └── val                           split='val'
            └── n01440764/...

    Or list files with one ``PATH LABEL`` per line, PaddleClas' among them; then no ``split``::

        data/ILSVRC2012                   data_root='data/ILSVRC2012'
        ├── train_list.txt                ann_file='train_list.txt', split=''
        ├── train
        │   └── n01440764/...             train/n01440764/n01440764_10026.JPEG 0
        ├── val_list.txt                  ann_file='val_list.txt', split=''
        └── val
            └── ILSVRC2012_val_...JPEG    val/ILSVRC2012_val_00000001.JPEG 65

    Paths are joined with ``data_prefix`` below ``data_root``. With ``split`` set, ``data_prefix``
    is that folder, and a list ``meta/{split}.txt`` is read where there is one. Differs from the
    host in: every line and file of a list is checked, because a label that is too high stops a GPU
    without an explanation.

    Raises:
        FileNotFoundError: If the list, or a file that it names, is not there.
        ValueError: If a line of the list is not a path, a blank and a label from 0 to C - 1.

    Example:
        >>> SeededImageNet(data_root='data/imagenet', split='train')  # doctest: +SKIP
        >>> SeededImageNet(data_root='data/ILSVRC2012', ann_file='val_list.txt')  # doctest: +SKIP
    """

    def load_data_list(self) -> list[dict]:
        """Return ``img_path`` and ``gt_label`` of every image."""
        if not (self.ann_file and self.with_label):
            return super().load_data_list()
        num_classes = len(self.CLASSES)
        for number, line in enumerate(list_from_file(self.ann_file), 1):
            path, _, label = line.strip().rpartition(' ')
            if not (path and label.isdecimal() and int(label) < num_classes):
                raise ValueError(
                    f'{self.ann_file}, line {number}: {line!r} is not a path, a blank and a label '
                    f'from 0 to {num_classes - 1}.'
                )
        data_list = super().load_data_list()
        if isinstance(get_file_backend(self.img_prefix), LocalBackend):
            prefix = osp.join(self.img_prefix, '')
            names = [info['img_path'].removeprefix(prefix) for info in data_list]
            fix = (
                'correct `data_root` and `data_prefix`, which come before its paths, and leave '
                '`split` empty for a list that names train/ or val/'
            )
            fix = fix if self.checks_files else ''
            found = find_files(self.img_prefix, names, self.ann_file, fix)
            for name, info in zip(names, data_list, strict=True):
                if name in found:
                    info['img_path'] = osp.join(self.img_prefix, found[name])
        return data_list


@DATASETS.register_module()
class SeededVOC(SeededSamplesMixin, SkipUnreadableMixin, VOC):
    """MMPretrain's ``VOC`` for use with ``SeededSampler``; arguments as there.

    ``max_unreadable`` is one more, by default 10: see :class:`SkipUnreadableMixin`. Differs from
    the host's in: an object without ``<difficult>``, as many annotation tools write it, is not
    difficult. ``PortableRunner`` uses this class for ``type='VOC'``.

    Raises:
        ValueError: If an annotation is not XML, or has a ``<difficult>`` other than 0 and 1.
    """

    def _get_labels_from_xml(self, img_id: str) -> tuple[list[int], list[int]]:
        path = self.backend.join_path(self.ann_prefix, f'{img_id}.xml')
        labels: dict[str, set[int]] = {'0': set(), '1': set()}
        try:
            for each in ElementTree.fromstring(self.backend.get(path)).findall('object'):
                if (name := each.findtext('name')) in self.class_to_idx:
                    is_difficult = (each.findtext('difficult') or '').strip() or '0'
                    labels[is_difficult].add(self.class_to_idx[name])
        except (ElementTree.ParseError, KeyError) as error:
            what = 'not XML' if isinstance(error, ElementTree.ParseError) else 'with <difficult> of'
            raise ValueError(
                f'{path} is {what} ({error}): correct it, or remove its image from the list'
            ) from error
        return list(labels['0']), list(labels['1'])
