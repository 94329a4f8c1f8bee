"""COCO instances as a multi-label dataset."""

import contextlib
import io
import json
import logging
import os.path as osp
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.logging import print_log
from mmpretrain.datasets import MultiLabelDataset
from mmpretrain.registry import DATASETS

from ..fileio.near_names import near_names
from ..fileio.terminal import counted, printable
from .coco_annotations import LISTS_ABSENT, CocoAnnotations, read_coco_annotations
from .coco_samples import CocoSamples, PackedStrings, distinct_labels, image_bounds
from .dataset_arguments import check_keys, class_names, image_folder, refuse_other_arguments
from .image_files import find_files
from .seeded_sampler import SeededSamplesMixin
from .skip_unreadable import SkipUnreadableMixin

if TYPE_CHECKING:
    from pycocotools.coco import COCO


@DATASETS.register_module()
class COCOMultiLabel(SeededSamplesMixin, SkipUnreadableMixin, MultiLabelDataset):
    """The classes that occur in each image of a COCO instances JSON.

    Any such JSON works: COCO 2017 and 2014, or one's own images and classes. The folders of COCO
    2017, with ``data_root='data/COCO2017'``::

        data/COCO2017
        ├── train2017                     data_prefix='train2017'
        │   ├── 000000000009.jpg
        │   └── ...
        ├── val2017
        │   └── ...
        └── annotations
            ├── instances_train2017.json  ann_file='annotations/instances_train2017.json'
            └── instances_val2017.json

    What counts as a label, which changes a reported mAP:

    - An image has a class if it has at least one box of it; several boxes are one label.
    - Crowd boxes are labels, unless ``with_crowd=False``.
    - Images without a label are kept, as samples that are negative for every class (so does
      PaddleClas; the authors of ML-Decoder drop them). In COCO 2017 they are 1,021 of 118,287 in
      train and 48 of 5,000 in val. Images whose boxes are all excluded by ``classes``,
      ``with_crowd`` or ``min_box_area`` are among them.
    - Label 0 is the category with the lowest id, and so on, unless ``classes`` gives another order.
      The gaps in COCO's ids (1 to 90 for 80 classes) vanish.
    - A box with ``ignore``, ``difficult`` or ``is_difficult`` makes no label. A class that an image
      has in such boxes only is unknown, see :class:`PackMultiLabelInputs`.
    - Areas, in square pixels of the original image, are those of :class:`CocoAnnotations`.

    A sample has ``img_path``, ``img_id``, ``height``, ``width`` (pixels, where the JSON has them),
    ``gt_label`` (int64, ascending, each once), and per box ``instance_labels`` (int64) and
    ``instance_areas`` (float32), from which AP by object size is computed. If the file has doubtful
    boxes, it also has ``gt_label_difficult`` (as ``gt_label``) and ``gt_score`` (1, 0 and -1 for
    unknown, float32). ``metainfo['classes']`` holds the names. Loading logs one line with what was
    kept and dropped. With ``SeededSampler`` the augmentation follows from the seed, the epoch and
    the image.

    The samples are arrays (:class:`CocoSamples`), which workers share; their dicts are made on
    demand, and changing one has no effect. A subclass that changes samples returns a list,
    ``[dict(info, ...) for info in super().load_data_list()]``, to which the host's
    ``serialize_data`` applies.

    Args:
        ann_file (str): The JSON, joined with ``data_root`` unless absolute.
        data_root (str): Folder of the dataset. Defaults to ''.
        data_prefix (str | dict): Folder of the images, joined with ``data_root`` unless absolute;
            in a dict under ``img_path``, or ``img`` as in MMDetection. Names in the JSON that are
            written with backslashes or percent codes are read so where a file has that name.
            Defaults to ''.
        classes (Sequence[str] | str, optional): Names of the classes to use, in the order of the
            labels, or a file with one name per line. Boxes of other categories are excluded.
            Also taken from ``metainfo``, as ``classes`` or ``CLASSES``. Defaults to all categories
            of the JSON, by id.
        keep_unlabelled (bool): Whether images without a label are samples. Defaults to True.
        min_box_area (float): Boxes with a smaller area, in square pixels, are excluded; at least
            0. Defaults to 0.0.
        with_crowd (bool): Whether crowd boxes are labels. Defaults to True.
        max_unreadable (int): Images that a training may skip, at least 0, see
            :class:`SkipUnreadableMixin`. Defaults to 10.
        filter_cfg (dict, optional): As in MMDetection, but in tests, too: ``filter_empty_gt=True``
            is ``keep_unlabelled=False``, and ``min_size`` drops images with a shorter side, in
            pixels. Defaults to None.
        metainfo (dict, optional): As in the host. Defaults to None.
        **kwargs: Other arguments of MMPretrain's ``BaseDataset``, such as ``pipeline``.

    Raises:
        ValueError: If ``min_box_area`` or ``max_unreadable`` is negative, ``classes`` is empty or
            given twice, or an argument or key is none; when the file is read, if it is not COCO
            instances JSON, if ``classes`` has a name that the file lacks or has one twice, if areas
            or sizes are unknown that ``min_box_area`` or ``min_size`` needs, or no image is left.
        FileNotFoundError: If the JSON, the image folder or an image is missing.

    Example:
        >>> dataset = COCOMultiLabel(  # doctest: +SKIP
        ...     data_root='data/COCO2017',
        ...     ann_file='annotations/instances_val2017.json',
        ...     data_prefix='val2017')
    """

    def __init__(
        self,
        ann_file: str,
        data_root: str = '',
        data_prefix: str | dict = '',
        classes: Sequence[str] | str | None = None,
        keep_unlabelled: bool = True,
        min_box_area: float = 0.0,
        with_crowd: bool = True,
        max_unreadable: int = 10,
        filter_cfg: dict | None = None,
        metainfo: dict | None = None,
        **kwargs,
    ):
        refuse_other_arguments(kwargs, type(self).__name__)
        if min_box_area < 0:
            raise ValueError(f'min_box_area must be at least 0, got {min_box_area}')
        self.min_size = 0
        if type(self).filter_data is BaseDataset.filter_data:  # a subclass may read other keys
            filters = dict(filter_empty_gt=False, min_size=0)
            check_keys('filter_cfg', filter_cfg, filters)
            filters |= filter_cfg or {}
            self.min_size = filters['min_size']
            keep_unlabelled = keep_unlabelled and not filters['filter_empty_gt']
        classes, metainfo = class_names(classes, metainfo)
        self.keep_unlabelled = keep_unlabelled
        self.min_box_area = min_box_area
        self.with_crowd = with_crowd
        super().__init__(
            ann_file=ann_file,
            data_root=data_root or '',
            data_prefix=image_folder(data_prefix),
            classes=classes,
            max_unreadable=max_unreadable,
            filter_cfg=filter_cfg,
            metainfo=metainfo,
            **kwargs,
        )

    @cached_property
    def coco(self) -> 'COCO':
        """The JSON as a ``pycocotools`` COCO object, read at the first access.

        Raises:
            ImportError: If ``pycocotools`` is not installed; nothing else here needs it.
        """
        try:
            from pycocotools.coco import COCO
        except ImportError as error:
            raise ImportError(
                'COCOMultiLabel.coco needs pycocotools: pip install pycocotools'
            ) from error
        coco = COCO()
        coco.dataset = json.loads(Path(self.ann_file).read_text(encoding='utf-8-sig'))
        with contextlib.redirect_stdout(io.StringIO()):  # it prints as it goes
            coco.createIndex()
        return coco

    def get_cat_ids(self, idx: int) -> list[int]:
        """Return the labels of image ``idx``, for MMEngine's ``ClassBalancedDataset``."""
        return self.get_data_info(idx)['gt_label'].tolist()

    def load_data_list(self) -> Sequence[dict]:
        """Read the JSON, check that the images exist, and return one dict per image."""
        coco = read_coco_annotations(self.ann_file)
        classes = tuple(self._metainfo.setdefault('classes', coco.category_names))
        labels = self._labels_of_categories(coco, classes)[coco.annotation_categories]
        boxes, difficult, notes = self._choose_boxes(coco, labels)
        boxes = np.flatnonzero(boxes)
        # by image, and within an image in the order of the file: faster than a stable argsort
        boxes = np.sort(coco.annotation_images[boxes] * len(labels) + boxes) % max(len(labels), 1)
        box_images, box_labels = coco.annotation_images[boxes], labels[boxes]
        num_images = len(coco.image_ids)
        gt_labels, label_bounds = distinct_labels(box_images, box_labels, num_images, len(classes))
        labelled = np.diff(label_bounds) > 0
        chosen_images = labelled | self.keep_unlabelled
        too_small = self._too_small(coco) & chosen_images
        kept = np.flatnonzero(chosen_images & ~too_small)
        if too_small.any():
            notes.append(
                f'{counted(too_small.sum(), "image")} below min_size={self.min_size:g} dropped'
            )
        print_log(
            f'{type(self).__name__} {self.ann_file}: {counted(len(kept), "image")}, '
            f'{counted(len(classes), "class")}, '
            f'{counted(len(gt_labels), "label")} from {counted(len(boxes), "box")}; '
            f'{counted((~labelled).sum(), "image")} without labels '
            f'{"kept" if self.keep_unlabelled else "dropped"}; {"; ".join(notes)}',
            logger='current',
        )
        if len(kept) == 0:
            raise ValueError(
                f'{self.ann_file}: none of the {num_images} images has a label and '
                'keep_unlabelled=False drops them all. Check `classes` and `min_box_area`, or set '
                'keep_unlabelled=True.'
                if not too_small.any()
                else f'{self.ann_file}: no image is left by min_size={self.min_size:g} of '
                'filter_cfg: set a smaller one'
            )
        self._tell_repeated([coco.file_names[i] for i in kept.tolist()])
        if coco.lists_absent:
            print_log(f'{self.ann_file}: {LISTS_ABSENT}', 'current', logging.WARNING)
        difficult_labels, difficult_bounds = distinct_labels(
            coco.annotation_images[difficult], labels[difficult], num_images, len(classes)
        )
        return CocoSamples(
            num_classes=len(classes),
            rows=kept,
            folder=self.img_prefix,
            file_names=self._found_images(coco.file_names, kept),
            image_ids=coco.image_ids,
            heights=coco.heights,
            widths=coco.widths,
            labels=gt_labels,
            label_bounds=label_bounds,
            box_labels=box_labels,
            box_areas=coco.annotation_areas[boxes].astype(np.float32),
            box_bounds=image_bounds(box_images, num_images),
            difficult_labels=difficult_labels,
            difficult_bounds=difficult_bounds,
        )

    def _choose_boxes(
        self, coco: CocoAnnotations, labels: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, list[str]]:
        """Return which boxes make a label, which ones a doubtful label, and notes for the log."""
        chosen = labels >= 0
        crowd = chosen & coco.annotation_is_crowd
        if not self.with_crowd:
            chosen &= ~crowd
        difficult = chosen & coco.annotation_is_difficult
        chosen &= ~difficult
        unknown_area = chosen & np.isnan(coco.annotation_areas)
        if self.min_box_area and unknown_area.any():
            raise ValueError(
                f'{self.ann_file}: {unknown_area.sum()} of {chosen.sum()} annotations have no area '
                f'(first: annotations[{unknown_area.argmax()}]), which min_box_area='
                f'{self.min_box_area:g} needs. Write an `area` or a bbox for each, or set '
                'min_box_area=0'
            )
        small = chosen & (coco.annotation_areas < self.min_box_area)
        notes = [
            f'{counted(crowd.sum(), "crowd box")} {"kept" if self.with_crowd else "dropped"}',
            f'{counted(small.sum(), "box")} below min_box_area={self.min_box_area:g} dropped',
        ]
        if difficult.any():
            notes.append(f'{counted(difficult.sum(), "box")} difficult or ignored, no label')
        if unknown_area.any():
            notes.append(f'{counted(unknown_area.sum(), "box")} without area')
        return chosen & ~small, difficult, notes

    def _tell_repeated(self, names: Sequence[str]) -> None:
        """Warn of files that are listed under several ids."""
        if len(set(names)) == len(names):
            return
        repeated = [name for name, count in Counter(names).items() if count > 1]
        print_log(
            f'{self.ann_file}: {counted(len(repeated), "file has", "files have")} several image '
            f'ids, first: {printable(repeated[0])}. Each id is a sample of its own; give the '
            'annotations of a file one image_id',
            'current',
            logging.WARNING,
        )

    def _too_small(self, coco: CocoAnnotations) -> np.ndarray:
        sides = np.minimum(coco.heights, coco.widths)
        if self.min_size and (sides == 0).any():
            raise ValueError(
                f'{self.ann_file}: {(sides == 0).sum()} of {len(sides)} images have no height and '
                f'width, which min_size={self.min_size:g} of filter_cfg needs. Write both for each '
                '(pixels), or leave out min_size'
            )
        return sides < self.min_size

    def _serialize_data(self) -> tuple[np.ndarray, np.ndarray]:
        """Serialize a list of dicts, as the host does; arrays are shared as they are."""
        if not isinstance(self.data_list, CocoSamples):
            return super()._serialize_data()
        self.serialize_data = False
        return np.empty(0, np.uint8), np.empty(0, np.int64)

    def _get_unserialized_subset(self, indices: Sequence[int] | int) -> Sequence[dict]:
        if isinstance(self.data_list, CocoSamples) and isinstance(indices, Sequence):
            return self.data_list.take(indices)
        return super()._get_unserialized_subset(indices)

    def _labels_of_categories(self, coco: CocoAnnotations, classes: Sequence[str]) -> np.ndarray:
        """Return the label of each category, -1 for one that is not among ``classes``."""
        names = coco.category_names
        labels = np.full(len(names), -1, np.int64)
        for label, name in enumerate(classes):
            if name not in names:
                new_id = max(coco.category_ids) + 1 if coco.category_ids.dtype != object else 'new'
                raise ValueError(
                    f'{self.ann_file} has no category {name!r}{near_names(str(name), names)}. '
                    'Correct `classes`; or, if no image here shows it, add it to the categories of '
                    f'the file: {{"id": {new_id}, "name": {json.dumps(name)}}}. Its categories '
                    f'are: {", ".join(map(printable, names))}.'
                )
            if labels[names.index(name)] >= 0:
                raise ValueError(f'`classes` has {name!r} twice: remove one.')
            labels[names.index(name)] = label
        return labels

    def _found_images(self, names: PackedStrings, kept: np.ndarray) -> PackedStrings:
        """Return the names as they are on the disk; raise if images are missing there."""
        if not osp.isdir(self.img_prefix or '.'):
            if not self.checks_files:
                return names
            raise FileNotFoundError(
                f'{self.img_prefix} is not a folder: no images there for {self.ann_file}. Set '
                f'`data_prefix` to their folder below `data_root` (now {self.data_root!r}), or to '
                'an absolute path.'
            )
        file_names = list(names)
        fix = (
            f'set `data_prefix` (joined with `data_root`, now {self.data_root!r}) to the one that '
            'has them'
        )
        chosen = [file_names[i] for i in kept.tolist()]
        found = find_files(self.img_prefix, chosen, self.ann_file, fix if self.checks_files else '')
        return PackedStrings(found.get(name, name) for name in file_names) if found else names
