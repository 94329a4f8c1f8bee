"""Run the augmentation of PaddleClas, and the authors' where it is installed.

    python tests/peers/paddle_augment.py FOLDER --checkout PADDLECLAS [--draws 10000]

Needs Pillow, OpenCV and numpy; neither Paddle nor torch. ``FOLDER/pictures.npz`` holds RGB
pictures, ``FOLDER/*.jpg`` are decoded and resized as the ``-448px`` recipe does.

``FOLDER/outputs.npz`` gets the resized photos as ``resized/PHOTO`` and, for all pictures, what
every operation of ``augmentation_cases`` gives, as ``PEER/PICTURE/OPERATION/LEVEL``, and the boxes
of the cutout before RandAugment as ``cutout/LENGTH``. ``FOLDER/draws.json`` gets, for each peer,
what was applied to each of so many pictures. ``PEER`` is ``paddleclas`` (``RandAugmentV4``) or
``authors`` (the package ``randaugment``).
"""

import argparse
import importlib.util
import json
import random
import re
import sys
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from unittest.mock import patch

import cv2
import numpy as np
import PIL
from paddleclas_sources import define
from PIL import Image, ImageEnhance, ImageOps

sys.path.append(str(Path(__file__).parents[1] / 'support'))
from augmentation_cases import CASES, CENTER, case_key


class Signs(random.Random):
    """Stands in for the module ``random`` and knows the sign drawn last; draws ``force`` if set."""

    force = None
    last = 0

    def choice(self, values: list[int]) -> int:
        self.last = self.force or super().choice(values)
        return self.last


SIGNS = Signs()


class Peer:
    """One RandAugment.

    Args:
        policy (type): Its class of two operations.
        replace_policy (Callable): Makes it use another class.
        rand_augment (type): The class that draws them.
    """

    def __init__(self, policy: type, replace_policy: Callable, rand_augment: type) -> None:
        self.policy = policy
        self.replace_policy = replace_policy
        self.rand_augment = rand_augment
        self.names = {our_name(name): name for name in rand_augment.get_trans_list()}

    def apply(self, picture: np.ndarray, name: str, level: int, sign: int) -> np.ndarray:
        """Return the picture after one operation; a cutout is centred at ``CENTER``."""
        policy = self.policy(1, self.names[name], level, 0, self.names[name], level)
        SIGNS.force = sign
        with patch('numpy.random.randint', lambda *args, **kwargs: CENTER):
            return np.asarray(policy(Image.fromarray(picture)))

    def draw(self, count: int) -> list[list[tuple[str, int, int]]]:
        """Return name, level and sign of what was applied to each of ``count`` pictures."""
        SIGNS.force = None
        draws = []

        class Spy(self.policy):
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

        self.replace_policy(Spy)
        rand_augment = self.rand_augment()
        picture = Image.new('RGB', (40, 40))
        for _ in range(count):
            draws.append([])
            rand_augment(picture)
        self.replace_policy(self.policy)
        return draws


def our_name(name: str) -> str:
    """``shearX`` and ``ShearX`` are our ``shear_x``."""
    return re.sub('([XY])$', r'_\1', name).lower()


def paddleclas(ops: Path) -> Peer:
    names = ('cutout', 'SubPolicyV2', 'RandAugmentV4')
    modules = dict(np=np, Image=Image, ImageEnhance=ImageEnhance, ImageOps=ImageOps)
    scope = define(ops / 'randaugment.py', names, random=SIGNS, **modules)
    replace = partial(scope.__setitem__, 'SubPolicyV2')
    return Peer(scope['SubPolicyV2'], replace, scope['RandAugmentV4'])


def authors() -> Peer:
    np.int = int  # as in the numpy that the package was written for
    from randaugment import randaugment as module

    module.random = SIGNS
    return Peer(module.SubPolicy, partial(setattr, module, 'SubPolicy'), module.RandAugment)


def resized(ops: Path, photo: Path) -> np.ndarray:
    names = ('UnifiedResize', 'OperatorParamError', 'DecodeImage', 'ResizeImage')
    modules = dict(np=np, cv2=cv2, random=random, partial=partial, Image=Image)
    scope = define(ops / 'operators.py', names, six=argparse.Namespace(PY2=False), **modules)
    decode = scope['DecodeImage'](to_rgb=True, channel_first=False)
    resize = scope['ResizeImage'](size=448, interpolation='bilinear', backend='pil')
    return resize(decode(photo.read_bytes()))


def cutout_box(ops: Path, length: int) -> np.ndarray:
    """Return a black square of twice the length with the box in its middle."""
    cutout = define(ops / 'cutout.py', ('Cutout',), np=np, cv2=cv2, random=random)['Cutout']
    with patch('numpy.random.randint', lambda side: length):
        blank = np.zeros((2 * length, 2 * length, 3), np.uint8)
        return cutout(length=length, fill_value='none')(blank)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('folder', type=Path)
    parser.add_argument('--checkout', type=Path, required=True)
    parser.add_argument('--draws', type=int, default=10000)
    args = parser.parse_args()
    ops = args.checkout / 'ppcls' / 'data' / 'preprocess' / 'ops'

    versions = dict(paddleclas='develop', pillow=PIL.__version__)
    peers = dict(paddleclas=paddleclas(ops))
    if importlib.util.find_spec('randaugment'):
        peers['authors'] = authors()
        versions['randaugment'] = version('randaugment')

    pictures = dict(np.load(args.folder / 'pictures.npz'))
    outputs = {f'cutout/{length}': cutout_box(ops, length) for length in (112, 224)}
    for photo in sorted(args.folder.glob('*.jpg')):
        pictures[photo.stem] = outputs[f'resized/{photo.stem}'] = resized(ops, photo)
    for peer_name, peer in peers.items():
        for picture_name, picture in pictures.items():
            for case in CASES:
                key = f'{peer_name}/{picture_name}/{case_key(*case)}'
                outputs[key] = peer.apply(picture, *case)
    np.savez(args.folder / 'outputs.npz', **outputs)

    SIGNS.seed(0)
    np.random.seed(0)
    draws = {name: peer.draw(args.draws) for name, peer in peers.items()}
    content = dict(versions=versions, draws=draws)
    (args.folder / 'draws.json').write_text(json.dumps(content))


if __name__ == '__main__':
    main()
