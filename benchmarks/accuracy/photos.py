"""The photos: VOC 2007, 18 classes of COCO, Corel-5k, as the datasets of configs.

``MLDECODER_SHARED_DATA``, or ``../shared/data`` of the repository, has the folders ``voc2007``,
``coco18`` and ``corel5k``.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmpretrain.registry import DATASETS as DATASET_REGISTRY

import mmpretrain_mldecoder  # noqa: F401
from mmpretrain_mldecoder.fileio.atomic_write import atomic_write

REPOSITORY = Path(__file__).parents[2]
DATASETS = dict(voc2007=20, coco18=18, corel5k=374)
"""Number of classes of each."""


def photo_folder() -> Path:
    """Return the folder with the photos.

    Raises:
        FileNotFoundError: If it does not exist.
    """
    folder = Path(os.environ.get('MLDECODER_SHARED_DATA', REPOSITORY / '../shared/data')).resolve()
    if not folder.is_dir():
        raise FileNotFoundError(
            f'{folder} does not exist: set MLDECODER_SHARED_DATA to a folder with '
            f'{", ".join(DATASETS)}'
        )
    return folder


def dataset_cfg(name: str, split: str, out: Path) -> dict:
    """Return the config of a dataset, without pipeline.

    Args:
        name (str): One of ``DATASETS``.
        split (str): ``'train'`` or ``'test'``, ``'fit'`` or ``'held_out'``: four fifths of
            ``'train'`` and the rest, drawn once, on which settings are chosen.
        out (Path): Folder for the lists and annotation files that are written.
    """
    part = dict(fit='train', held_out='train').get(split, split)
    root = photo_folder() / name
    lists = (out / 'lists').resolve()
    if name == 'voc2007':  # no public test split lies here: trained on train, tested on val
        names = (
            (root / f'ImageSets/Main/{dict(test="val").get(part, part)}.txt').read_text().split()
        )
        file = _written(lists / f'voc2007_{split}.txt', '\n'.join(part_of(names, split)))
        return dict(
            type='SeededVOC', data_root=str(root), split='trainval', image_set_path=str(file)
        )
    if name == 'coco18':
        folder = dict(train='train2017', test='val2017')[part]
        content = json.loads((root / f'annotations/instances_{folder}.json').read_text())
    else:
        folder = f'{part}_jpeg'
        content = _corel(root, part)
    kept = {image['id'] for image in part_of(content['images'], split)}
    content['images'] = [image for image in content['images'] if image['id'] in kept]
    content['annotations'] = [each for each in content['annotations'] if each['image_id'] in kept]
    file = _written(lists / f'{name}_{split}.json', json.dumps(content))
    return dict(type='COCOMultiLabel', ann_file=str(file), data_prefix=str(root / folder))


def paths_and_targets(name: str, split: str, out: Path) -> tuple[list[str], np.ndarray]:
    """Return the paths of the photos, and labels ``(N, C)`` int8: 1, 0, and -1 for unknown.

    Args:
        name (str): One of ``DATASETS``.
        split (str): As of :func:`dataset_cfg`.
        out (Path): Likewise.
    """
    photos = DATASET_REGISTRY.build(dict(dataset_cfg(name, split, out), pipeline=[]))
    paths, targets = [], np.zeros((len(photos), DATASETS[name]), np.int8)
    for row, info in zip(targets, map(photos.get_data_info, range(len(photos))), strict=True):
        row[list(info.get('gt_label_difficult', []))] = -1
        row[list(info['gt_label'])] = 1
        paths.append(info['img_path'])
    return paths, targets


def part_of(items: Sequence, split: str) -> list:
    """Return those of the training items that belong to ``split``, see :func:`dataset_cfg`."""
    if split not in ('fit', 'held_out'):
        return list(items)
    order = np.random.default_rng(0).permutation(len(items))
    held_out = set(order[: len(items) // 5].tolist())
    return [item for i, item in enumerate(items) if (i in held_out) == (split == 'held_out')]


def _corel(root: Path, part: str) -> dict:
    """Return Corel-5k as COCO JSON."""
    lines = (root / f'labels/{dict(train="training").get(part, part)}_label').read_text()
    images, annotations = [], []
    for line in filter(None, map(str.split, lines.splitlines())):
        images.append(dict(id=int(line[0]), file_name=f'{line[0]}.jpeg', height=128, width=192))
        for word in set(line[1:]):
            annotations.append(
                dict(id=len(annotations) + 1, image_id=int(line[0]), category_id=int(word), area=0)
            )
    words = (root / 'labels/words').read_text().split()
    categories = [dict(id=i + 1, name=word) for i, word in enumerate(words)]
    return dict(images=images, annotations=annotations, categories=categories)


def _written(path: Path, text: str) -> Path:
    with atomic_write(path) as temporary:
        temporary.write_text(text)
    return path
