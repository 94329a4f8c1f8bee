"""Run the augmentation of PaddleClas, or of the authors' package (the peers' interpreter).

    python tests/peers/paddle_augment.py FOLDER [--checkout PADDLECLAS --config YAML]

``FOLDER/images.npz`` holds RGB images. ``FOLDER/outputs.npz`` gets what every operation of
``augmentation_cases`` makes of each, as ``IMAGE/OPERATION/LEVEL``; ``FOLDER/made.json`` what
RandAugment applied to each of 10,000 images (``draws``), and the versions.

With a checkout that is ``RandAugmentV4``, and the transforms ahead of it in the config run too:
``resized/PHOTO`` is each ``FOLDER/*.jpg``, decoded and resized, and ``cutout`` a black image whose
middle is the centre of the cutout. Without, it is the package ``randaugment``.
"""

import importlib
import json
import random
import re
from collections.abc import Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from unittest.mock import patch

import numpy as np
from peer_python import parse_arguments
from PIL import Image


class Signs(random.Random):
    """Stands in for the module ``random`` and knows the sign drawn last; draws ``force`` if set."""

    force = None
    last = 0

    def choice(self, values: list[int]) -> int:
        self.last = self.force or super().choice(values)
        return self.last


SIGNS = Signs()


def our_name(name: str) -> str:
    """``shearX`` and ``ShearX`` are our ``shear_x``."""
    return re.sub('([XY])$', r'_\1', name).lower()


def operations(images: dict, policy: type, names: list[str]) -> Iterator:
    """Yield key and image of every operation; a cutout is centred at ``CENTER``."""
    from augmentation_cases import CASES, CENTER, case_key

    names = {our_name(name): name for name in names}
    with patch('numpy.random.randint', lambda *args, **kwargs: CENTER):
        for key, image in images.items():
            for name, level, sign in CASES:
                SIGNS.force = sign
                apply = policy(1, names[name], level, 0, names[name], level)
                result = np.asarray(apply(Image.fromarray(image)))
                yield f'{key}/{case_key(name, level, sign)}', result


def draw(module: ModuleType, policy: type, rand_augment: type) -> list[list[tuple[str, int, int]]]:
    """Return name, level and sign of what was applied to each of 10,000 images."""
    draws = []

    class Spy(policy):
        def __init__(self, p1, name1, level1, p2, name2, level2):
            super().__init__(p1, name1, level1, p2, name2, level2)
            self.operation1 = partial(self.record, self.operation1, name1, level1)
            self.operation2 = partial(self.record, self.operation2, name2, level2)

        @staticmethod
        def record(operation, name, level, img, magnitude):
            SIGNS.last = 0
            operation(img, magnitude)
            draws[-1].append((our_name(name), level, SIGNS.last))
            return img

    SIGNS.force = None
    SIGNS.seed(0)
    np.random.seed(0)
    transform, image = rand_augment(), Image.new('RGB', (40, 40))
    with patch.object(module, policy.__name__, Spy):
        for _ in range(10_000):
            draws.append([])
            transform(image)
    return draws


def ahead_of_rand_augment(config: Path, folder: Path) -> Iterator:
    """Yield key and image of the config's transforms on the photos, and of its cutout."""
    from ppcls.data import create_operators
    from ppcls.utils.config import get_config

    dataset = get_config(str(config)).DataLoader.Train.dataset
    decode, resize, cutout = create_operators(dataset.transform_ops)[:3]
    for photo in folder.glob('*.jpg'):
        yield f'resized/{photo.stem}', resize(decode(photo.read_bytes()))
    with patch('numpy.random.randint', lambda side: side // 2):
        yield 'cutout', cutout(resize(np.zeros((9, 9, 3), np.uint8)))


def main() -> None:
    args = parse_arguments(__doc__, config=dict(help='below ppcls/configs/'))
    images = dict(np.load(args.folder / 'images.npz'))
    outputs = {}
    if args.checkout:
        config = args.checkout / 'ppcls' / 'configs' / args.config
        outputs.update(ahead_of_rand_augment(config, args.folder))
        module = importlib.import_module('ppcls.data.preprocess.ops.randaugment')
        policy, rand_augment = module.SubPolicyV2, module.RandAugmentV4
    else:
        np.int = int  # as in the numpy that the package was written for
        module = importlib.import_module('randaugment.randaugment')
        policy, rand_augment = module.SubPolicy, module.RandAugment
    module.random = SIGNS
    outputs.update(operations(images, policy, rand_augment.get_trans_list()))
    np.savez(args.folder / 'outputs.npz', **outputs)
    versions = {name: version(name) for name in ('pillow', 'randaugment')}
    made = dict(versions=versions, draws=draw(module, policy, rand_augment))
    (args.folder / 'made.json').write_text(json.dumps(made))


if __name__ == '__main__':
    main()
