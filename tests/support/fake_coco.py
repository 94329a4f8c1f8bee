"""A small COCO, written to a folder."""

import json
from pathlib import Path

import cv2
import numpy as np


def write_coco(
    root: Path, splits: dict[str, int], size: int = 48, classes: tuple[str, ...] = ()
) -> Path:
    """Write a seeded COCO 2017 layout below ``root`` and return it.

    Category ids have gaps (10, 20, ...) and are stored in reverse order; the first image of each
    split has no annotation, the second has one category twice, the third a crowd.
    """
    classes = classes or ('ant', 'bee', 'cat', 'dog')
    rng = np.random.default_rng(0)
    (root / 'annotations').mkdir(parents=True)
    categories = [dict(id=10 * (i + 1), name=name) for i, name in enumerate(classes)][::-1]
    for split, num_images in splits.items():
        (root / f'{split}2017').mkdir()
        images, annotations = [], []
        for i in range(num_images):
            name = f'{i:012d}.jpg'
            height, width = size + 2 * (i % 5), size + 3 * (i % 4)
            image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
            cv2.imwrite(str(root / f'{split}2017' / name), image)
            images.append(dict(id=100 + i, file_name=name, height=height, width=width))
            labels = [] if i == 0 else [i % len(classes), (i * 3 + 1) % len(classes)]
            if i == 1:
                labels = [1, 1]
            for label in labels:
                side = float(rng.integers(4, 40))
                annotations.append(
                    dict(
                        id=len(annotations) + 1,
                        image_id=100 + i,
                        category_id=10 * (label + 1),
                        bbox=[0, 0, side, side],
                        area=side * side,
                        iscrowd=int(i == 2),
                        segmentation=[[0, 0, side, 0, side, side]],
                    )
                )
        content = dict(images=images, annotations=annotations, categories=categories)
        path = root / 'annotations' / f'instances_{split}2017.json'
        path.write_text(json.dumps(content))
    return root
