"""Writer of the demo dataset: rendered scenes of simple objects in COCO 2017's layout."""

import json
import tempfile
from pathlib import Path

import cv2
import numpy as np
from rich.progress import track

from .demo_drawing import CATEGORIES, draw_scene
from .image_files import missing_files

# Increased whenever the scenes change, so that an older folder is not taken for the new one.
_VERSION = 1


def make_demo_dataset(
    out: str | Path, num_train: int = 3000, num_val: int = 600, size: int = 96, seed: int = 0
) -> bool:
    """Write the demo dataset, unless it is there already.

    The same arguments give the same files, byte for byte on one machine. Boxes, polygons and areas
    (the polygon's own, in square pixels) describe the whole object, also where another one covers
    part of it. About one image in a hundred has no object. There are no crowds. At the default
    size six in seven objects are small by COCO's bins of the area (below 32²), the others medium.

    ``out`` appears, in COCO 2017's layout, when it is complete. At least 1 training and 1
    validation scene, of at least 32 x 32 pixels (``size``), can be asked for.

    Returns:
        bool: True if the dataset was written, False if ``out`` held the same one already.

    Raises:
        ValueError: If a number is out of its range.
        FileExistsError: If ``out`` holds anything else.
    """
    out = Path(out)
    info = dict(description='Demo scenes of mmpretrain_mldecoder', version=_VERSION)
    info |= dict(num_train=num_train, num_val=num_val, size=size, seed=seed)
    for name, low in dict(num_train=1, num_val=1, size=32, seed=0).items():
        if info[name] < low:
            raise ValueError(f'{name} must be at least {low}, but got {info[name]}')
    flaw = _flaw(out, info)
    if not flaw:
        return False
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise FileExistsError(
            f'{out} exists, but is not the demo dataset requested ({num_train} + {num_val} scenes '
            f'of {size} px, seed {seed}, version {_VERSION}): {flaw}. Choose another folder '
            '(--out), or remove this one.'
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f'.{out.name}-', dir=out.parent) as folder:
        complete = Path(folder) / out.name
        _write_split(complete, 'train2017', num_train, info, seeds=(seed, 0))
        _write_split(complete, 'val2017', num_val, info, seeds=(seed, 1))
        complete.rename(out)
    return True


def _flaw(out: Path, info: dict) -> str:
    """Return why ``out`` is not the complete dataset that ``info`` describes; '' if it is."""
    for split, num_scenes in (('train2017', info['num_train']), ('val2017', info['num_val'])):
        path = out / 'annotations' / f'instances_{split}.json'
        try:
            content = json.loads(path.read_bytes())
        except (OSError, ValueError, RecursionError) as error:
            return f'{path} cannot be read, {error}'
        if not isinstance(content, dict) or content.get('info') != info:
            return f'{path} describes other images'
        names = [image['file_name'] for image in _images(num_scenes, info['size'])]
        missing = missing_files(out / split, names)
        if missing:
            return f'{out / split / missing[0]} is missing'
    return ''


def _images(num_scenes: int, size: int) -> list[dict]:
    return [
        dict(id=i, file_name=f'{i:012d}.jpg', height=size, width=size, license=1)
        for i in range(1, num_scenes + 1)
    ]


def _write_split(root: Path, split: str, num_scenes: int, info: dict, seeds: tuple) -> None:
    """Write the images and the annotation file of one split below ``root``."""
    (root / split).mkdir(parents=True)
    (root / 'annotations').mkdir(exist_ok=True)
    images, annotations = _images(num_scenes, info['size']), []
    for i, image in enumerate(track(images, description=split)):
        pixels, objects = draw_scene(np.random.default_rng([*seeds, i]), info['size'])
        path = root / split / image['file_name']
        if not cv2.imwrite(str(path), pixels):
            raise OSError(f'{path} cannot be written')
        for category, polygon in objects:
            annotation = dict(
                id=len(annotations) + 1, image_id=image['id'], category_id=category.id
            )
            annotations.append(annotation | _describe(polygon))
    content = dict(
        info=info,
        licenses=[dict(id=1, name='Apache License 2.0')],
        images=images,
        annotations=annotations,
        categories=[dict(id=c.id, name=c.name, supercategory='shape') for c in CATEGORIES],
    )
    (root / 'annotations' / f'instances_{split}.json').write_text(json.dumps(content))


def _describe(polygon: np.ndarray) -> dict:
    """Return COCO's box, area and segmentation of an object."""
    x, y = polygon.T
    low, high = polygon.min(0), polygon.max(0)
    # the shoelace formula
    area = abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2
    return dict(
        bbox=[*low.tolist(), *np.round(high - low, 2).tolist()],
        area=round(float(area), 2),
        segmentation=[polygon.ravel().tolist()],
        iscrowd=0,
    )
