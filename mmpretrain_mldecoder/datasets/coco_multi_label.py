"""COCO instances as a multi-label dataset."""

import contextlib
import difflib
import io
import json
import os.path as osp
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from mmengine.logging import print_log
from mmpretrain.datasets import MultiLabelDataset
from mmpretrain.registry import DATASETS

from ..fileio.terminal import printable
from .coco_annotations import CocoAnnotations, read_coco_annotations
from .coco_samples import CocoSamples
from .image_files import missing_files
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
    - Areas are the ``area`` of the JSON, in square pixels of the original image: in COCO that of
      the segment, not of the box. A file without ``area`` gets width times height of the box.

    A sample has ``img_path``, ``img_id``, ``height``, ``width`` (pixels, as the JSON says),
    ``gt_label`` (int64, ascending, each once), and per box ``instance_labels`` (int64) and
    ``instance_areas`` (float32), from which AP by object size is computed. ``metainfo['classes']``
    holds the names. Loading logs one line with what was kept and dropped. With ``SeededSampler``
    the augmentation follows from the seed, the epoch and the image.

    The samples are arrays (:class:`CocoSamples`), which workers share; their dicts are made on
    demand, and changing one has no effect. A subclass that changes samples returns a list,
    ``[dict(info, ...) for info in super().load_data_list()]``, to which the host's
    ``serialize_data`` applies.

    Args:
        ann_file (str): The JSON, joined with ``data_root`` unless absolute.
        data_root (str): Folder of the dataset. Defaults to ''.
        data_prefix (str | dict): Folder of the images, joined with ``data_root`` unless absolute.
            Defaults to ''.
        classes (Sequence[str] | str, optional): Names of the classes to use, in the order of the
            labels, or a file with one name per line. Boxes of other categories are excluded.
            Defaults to all categories of the JSON, by id.
        keep_unlabelled (bool): Whether images without a label are samples. Defaults to True.
        min_box_area (float): Boxes with a smaller area, in square pixels, are excluded; at least
            0. Defaults to 0.0.
        with_crowd (bool): Whether crowd boxes are labels. Defaults to True.
        max_unreadable (int): Images that a training may skip, at least 0, see
            :class:`SkipUnreadableMixin`. Defaults to 10.
        **kwargs: Other arguments of MMPretrain's ``BaseDataset``, such as ``pipeline``.

    Raises:
        ValueError: If ``min_box_area`` or ``max_unreadable`` is negative, or ``classes`` is empty;
            when the file is read, if it is not COCO instances JSON, if ``classes`` has a name that
            the file lacks or has one twice, or if no image is left.
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
        **kwargs,
    ):
        if min_box_area < 0:
            raise ValueError(f'min_box_area must be at least 0, got {min_box_area}')
        if isinstance(classes, str):
            classes = read_class_file(classes)
        if classes is not None and len(classes) == 0:
            raise ValueError('`classes` is empty: leave it out to use all categories')
        self.keep_unlabelled = keep_unlabelled
        self.min_box_area = min_box_area
        self.with_crowd = with_crowd
        super().__init__(
            ann_file=ann_file,
            data_root=data_root,
            data_prefix=data_prefix,
            classes=classes,
            max_unreadable=max_unreadable,
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

        chosen = labels >= 0
        crowd = chosen & coco.annotation_is_crowd
        if not self.with_crowd:
            chosen &= ~crowd
        small = chosen & (coco.annotation_areas < self.min_box_area)
        boxes = np.flatnonzero(chosen & ~small)
        # by image, and within an image in the order of the file: faster than a stable argsort
        boxes = np.sort(coco.annotation_images[boxes] * len(labels) + boxes) % max(len(labels), 1)
        box_images, box_labels = coco.annotation_images[boxes], labels[boxes]
        # each label of each image once, ascending: in a tenth of the time of np.unique
        pairs = np.sort(box_images * len(classes) + box_labels)
        pairs = pairs[np.diff(pairs, prepend=-1) > 0]
        label_images, gt_labels = np.divmod(pairs, len(classes))

        num_images = len(coco.image_ids)
        label_bounds = _bounds(label_images, num_images)
        labelled = np.diff(label_bounds) > 0
        kept = np.flatnonzero(labelled | self.keep_unlabelled)
        print_log(
            f'{type(self).__name__} {self.ann_file}: {len(kept)} images, {len(classes)} classes, '
            f'{len(gt_labels)} labels from {len(boxes)} boxes; '
            f'{(~labelled).sum()} images without labels '
            f'{"kept" if self.keep_unlabelled else "dropped"}; '
            f'{crowd.sum()} crowd boxes {"kept" if self.with_crowd else "dropped"}; '
            f'{small.sum()} boxes below min_box_area={self.min_box_area:g} dropped',
            logger='current',
        )
        if len(kept) == 0:
            raise ValueError(
                f'{self.ann_file}: none of the {num_images} images has a label and '
                'keep_unlabelled=False drops them all. Check `classes` and `min_box_area`, or set '
                'keep_unlabelled=True.'
            )
        if self.checks_files:
            file_names = list(coco.file_names)
            self._check_images([file_names[i] for i in kept.tolist()])
        return CocoSamples(
            rows=kept,
            folder=self.img_prefix,
            file_names=coco.file_names,
            image_ids=coco.image_ids,
            heights=coco.heights,
            widths=coco.widths,
            labels=gt_labels,
            label_bounds=label_bounds,
            box_labels=box_labels,
            box_areas=coco.annotation_areas[boxes].astype(np.float32),
            box_bounds=_bounds(box_images, num_images),
        )

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
        lowered = {name.lower(): name for name in names}
        labels = np.full(len(names), -1, np.int64)
        for label, name in enumerate(classes):
            if name not in names:
                near = [lowered[key] for key in difflib.get_close_matches(name.lower(), lowered)]
                hint = f' (near: {", ".join(map(printable, near))})' if near else ''
                raise ValueError(
                    f'{self.ann_file} has no category {name!r}{hint}. Correct `classes`; its '
                    f'categories are: {", ".join(map(printable, names))}.'
                )
            if labels[names.index(name)] >= 0:
                raise ValueError(f'`classes` has {name!r} twice: remove one.')
            labels[names.index(name)] = label
        return labels

    def _check_images(self, file_names: list[str]) -> None:
        if not osp.isdir(self.img_prefix or '.'):
            raise FileNotFoundError(
                f'{self.img_prefix} is not a folder: no images there for {self.ann_file}. Set '
                f'`data_prefix` to their folder below `data_root` (now {self.data_root!r}), or to '
                'an absolute path.'
            )
        missing = missing_files(self.img_prefix, file_names)
        if missing:
            raise FileNotFoundError(
                f'{len(missing)} of {len(file_names)} images of {self.ann_file} are not in '
                f'{self.img_prefix}, first: {printable(missing[0])}. Complete the folder, or set '
                f'`data_prefix` (joined with `data_root`, now {self.data_root!r}) to the one that '
                'has them.'
            )


def _bounds(images: np.ndarray, num_images: int) -> np.ndarray:
    """Return ``(N + 1,)`` bounds: sorted records ``bounds[i]:bounds[i + 1]`` are of image ``i``."""
    return np.concatenate(([0], np.cumsum(np.bincount(images, minlength=num_images))))


def read_class_file(path: str | Path) -> tuple[str, ...]:
    """Return the class names of a file with one per line; ``~`` is the user's home.

    A UTF-8 byte order mark and empty lines at the end, as editors leave them, are ignored.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not UTF-8, has no name, or has an empty line between names.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(
            f'{path} is not a file: `classes` is a list of names, or a file with one name per line.'
        )
    try:
        text = path.read_text(encoding='utf-8-sig')
    except UnicodeDecodeError as error:
        raise ValueError(
            f'{path} is not UTF-8 (byte {error.start}): write the class names with '
            "encoding='utf-8'."
        ) from error
    names = text.rstrip('\n').split('\n')
    if names == ['']:
        raise ValueError(f'{path} has no class names: write one per line.')
    if '' in names:
        line = names.index('') + 1
        raise ValueError(f'{path}: line {line} is empty: write one class name per line.')
    return tuple(names)
