"""ImageNet and VOC for ``SeededSampler``, with labels that are validated."""

import logging
import os
import os.path as osp
from collections import Counter
from itertools import chain
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from mmengine.fileio import LocalBackend, get_file_backend, list_from_file
from mmengine.logging import print_log
from mmpretrain.datasets import VOC, ImageNet
from mmpretrain.registry import DATASETS

from ..fileio.terminal import counted, listed, printable
from .image_files import find_files
from .label_files.voc import objects_of
from .seeded_sampler import SeededSamplesMixin
from .skip_unreadable import SkipUnreadableMixin


@DATASETS.register_module()
class SeededImageNet(SeededSamplesMixin, SkipUnreadableMixin, ImageNet):
    """MMPretrain's ``ImageNet`` for use with ``SeededSampler``; arguments as there.

    ``max_unreadable`` is one more, see :class:`SkipUnreadableMixin`.

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
        for number, line in enumerate(_lines(self.ann_file), 1):
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

    ``max_unreadable`` is one more, see :class:`SkipUnreadableMixin`. Differs from the host's in: an
    object without ``<difficult>``, as many annotation tools write it, is not difficult; objects of
    other names than those of the classes are counted in the log, and so are lines of the list that
    name an image again, which do not count.
    ``PortableRunner`` uses this class for ``type='VOC'``.

    Raises:
        FileNotFoundError: If the list, or an annotation or image that it names, is not there.
        ValueError: If the list is empty, no object is of the classes, or an annotation is not XML
            of VOC, or has a ``<difficult>`` other than 0, 1, false and true.
    """

    def __init__(self, data_root: str | os.PathLike, *args: Any, **kwargs: Any):
        super().__init__(osp.expanduser(data_root), *args, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Return ``img_path``, ``gt_label`` and ``gt_label_difficult`` of every image."""
        source = self.image_set_path
        if not self.backend.exists(source):
            raise FileNotFoundError(
                f'there is no list of images {source}{_lists_near(source, self.data_root)}: set '
                '`data_root` to the folder that has ImageSets, JPEGImages and Annotations, `split` '
                'to train, val, trainval or test, or `image_set_path` to another list; those that '
                'are trained on must not name the images of a test'
            )
        ids = [*filter(None, map(str.strip, _lines(source)))]
        if not ids:
            raise ValueError(f'{source} has no lines: it needs the name of an image in each')
        if repeated := len(ids) - len(set(ids)):
            text = f'{source}: {counted(repeated, "line")} that name an image again are left out'
            print_log(text, 'current', logging.WARNING)
            ids = [*dict.fromkeys(ids)]
        names = [f'{each}.jpg' for each in ids]
        if self.checks_files and isinstance(get_file_backend(self.img_prefix), LocalBackend):
            fix = 'remove them from the list, in which names have no folder, suffix or label'
            found = find_files(self.img_prefix, names, source, fix)
            names = [found.get(name, name) for name in names]
        self._others: Counter[str] = Counter()  # names of objects of no class
        data_list = []
        for img_id, name in zip(ids, names, strict=True):
            info = dict(img_path=self.backend.join_path(self.img_prefix, name))
            labels = (None, None) if self.ann_prefix is None else self._get_labels_from_xml(img_id)
            data_list.append(
                info | dict(zip(('gt_label', 'gt_label_difficult'), labels, strict=True))
            )
        if self._others:
            others = [f'{name!r} ({count:,})' for name, count in self._others.most_common()]
            text = (
                f'{source}: {counted(self._others.total(), "object")} of none of the classes '
                f'({len(self.CLASSES)}): {printable(listed(others, 10))}'
            )
            if not any(info['gt_label'] or info['gt_label_difficult'] for info in data_list):
                raise ValueError(f'{text}. There are no others: set `metainfo.classes`')
            print_log(f'{text}. They make no label', 'current', logging.WARNING)
        return data_list

    def _get_labels_from_xml(self, img_id: str) -> tuple[list[int], list[int]]:
        path = self.backend.join_path(self.ann_prefix, f'{img_id}.xml')
        labels: dict[bool, set[int]] = {False: set(), True: set()}  # not difficult, and difficult
        try:
            for name, is_difficult in objects_of(ElementTree.fromstring(self.backend.get(path))):
                if name in self.class_to_idx:
                    labels[is_difficult].add(self.class_to_idx[name])
                else:
                    self._others[name] += 1
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f'{self.image_set_path} names {img_id!r}, and there is no {path}: add it, or '
                'remove the name from the list'
            ) from error
        except (ElementTree.ParseError, LookupError, ValueError, IsADirectoryError) as error:
            raise ValueError(
                f'{path} is not XML of VOC ({error}): correct it, or remove its image from the list'
            ) from error
        return list(labels[False]), list(labels[True])


def _lines(path: str) -> list[str]:
    try:
        return list_from_file(path, encoding='utf-8-sig')
    except UnicodeDecodeError as error:
        raise ValueError(f'{path} is not UTF-8 (byte {error.start}): save it as UTF-8') from error
    except IsADirectoryError as error:
        raise ValueError(f'{path} is a folder: name a list in it') from error


def _lists_near(source: str, root: str) -> str:
    """Return which lists of splits lie beside one that is missing, or else below the root."""
    beside = sorted(path.stem for path in Path(source).parent.glob('*.txt') if '_' not in path.stem)
    folders = chain(Path(root).glob('*/ImageSets/Main'), Path(root).glob('*/*/ImageSets/Main'))
    below = [path.parents[1] for path in sorted(folders)]
    if beside:
        return f' (there are {listed(beside)})'
    return f' (but ImageSets in {listed([*map(str, below)])})' if below else ''
