"""Faults of one image of a dataset, as the pipeline's loader reads it."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import cv2
import mmcv
import numpy as np
from mmcv.transforms import LoadImageFromFile
from PIL import Image

from ...datasets.decode_image import MAX_PIXELS, check_header, decode_image
from ...datasets.image_files import read_image_file
from ...datasets.image_header import ImageHeader, read_image_header
from ...datasets.transforms import LoadWholeImage
from ...errors import UnreadableImageError
from ...fileio.groups import content_digest

THUMBNAIL = (16, 18)  # rows and columns of the small grey images that duplicates are found with
_ROUNDING = 2  # levels by which decoders may differ on average
GREY_SPREAD = 2  # levels by which the channels of a grey image may differ, for rounding
_DAMAGE = ('Corrupt JPEG data', 'Premature end of JPEG')
_GREY_MODES = ('1', 'L', 'LA', 'La', 'I', 'F')


class Fault(NamedTuple):
    """A finding about an image: its code, a key of ``FINDING_KINDS``, and details."""

    code: str
    detail: str


class ImageCheck(NamedTuple):
    """What :meth:`ImageChecker.check` found."""

    faults: tuple[Fault, ...]  # all that is wrong or unusual; empty for an ordinary image
    digest: bytes | None = None  # 16 bytes, equal for equal files; None if it cannot be read
    thumbnail: np.ndarray | None = None  # (16, 18) uint8, grey; None if it was not decoded


class ImageChecker:
    """Checks images as a pipeline's loader reads them, by the rules of ``LoadWholeImage``.

    With ``quick`` only headers are read. Then grey images that are stored in colour, damage inside
    a file and duplicates with other bytes are not found.
    """

    def __init__(self, loader: LoadImageFromFile | None = None, quick: bool = False):
        self.loader = LoadImageFromFile() if loader is None else loader
        self.max_pixels = getattr(loader, 'max_pixels', MAX_PIXELS)
        self.quick = quick

    def check(self, image: tuple[str, tuple[int, int] | None]) -> ImageCheck:
        """Check a path, with height and width by the annotations or None; never raises for it."""
        path, annotated_size = image
        loader, pixels = self.loader, None
        rules = (loader.imdecode_backend, self.max_pixels)
        try:
            content = read_image_file(path, loader.backend_args)
        except UnreadableImageError as error:
            detail = error.reason
            if error.code == 'missing':  # and the near name
                detail = detail.partition('; ')[2]
            return ImageCheck((Fault(error.code, detail),))
        digest = content_digest(content)
        with caught_standard_error() as messages:
            try:
                if self.quick:
                    check_header(path, content, *rules)
                else:
                    pixels = decode_image(path, content, loader.color_type, *rules)
                header = read_image_header(content)
            except UnreadableImageError as error:
                return ImageCheck((Fault(error.code, error.reason),), digest)
            except Image.DecompressionBombError:  # more than Pillow's limit, not the loader's
                header = None
        faults = {} if header is None else self._faults(header, content)
        if damage := next((line for line in messages if line.startswith(_DAMAGE)), None):
            faults['damaged'] = damage.strip()
        if pixels is not None and 'greyscale' not in faults and _is_grey(pixels):
            faults['greyscale'] = 'stored in colour'
        if annotated_size is not None and (header is not None or pixels is not None):
            height, width = header.size if pixels is None else pixels.shape[:2]
            sizes = [(height, width)]
            if header is not None and header.orientation >= 5:  # annotated before the rotation
                sizes.append((width, height))
            if annotated_size not in sizes:
                annotated = f'{annotated_size[1]} x {annotated_size[0]}'
                faults['other_size'] = f'{width} x {height} px, by the annotations {annotated}'
        found = tuple(Fault(*item) for item in faults.items())
        return ImageCheck(found, digest, None if pixels is None else _thumbnail(pixels))

    def _faults(self, header: ImageHeader, content: bytes) -> dict[str, str]:
        """Return what is unusual about a header: details by code."""
        kind = f'{header.format} {header.mode}'
        found = {
            'greyscale': header.mode.split(';')[0] in _GREY_MODES,
            'cmyk': header.mode == 'CMYK',
            'palette': header.mode in ('P', 'PA'),
            'alpha': header.transparent,
        }
        faults = {code: kind for code, is_found in found.items() if is_found}
        if header.bits > 8:
            faults['deep'] = f'{header.format}, {header.bits} bits a channel'
        if header.orientation > 1:
            code = 'rotated' if self._turns(content) else 'rotated_ignored'
            faults[code] = f'orientation {header.orientation}'
        return faults

    def _turns(self, content: bytes) -> bool:
        """Whether the loader turns an image upright; the host's leaves it to its decoder."""
        kind, backend = self.loader.color_type, self.loader.imdecode_backend
        if isinstance(self.loader, LoadWholeImage) or kind not in ('color', 'grayscale'):
            return kind in ('color', 'grayscale')
        try:
            upright = decode_image('', content, kind, max_pixels=self.max_pixels)
        except UnreadableImageError:  # seen without --quick
            return True
        seen = mmcv.imfrombytes(content, kind, backend=backend)
        if seen is None:  # named as what the loader cannot read
            return True
        return seen.shape == upright.shape and cv2.absdiff(seen, upright).mean() < _ROUNDING


def _is_grey(pixels: np.ndarray) -> bool:
    """Whether the channels are alike, on every fourth row and column."""
    if pixels.ndim == 2 or pixels.shape[2] < 3:
        return True
    for step in (32, 4):  # a few pixels are enough for nearly all colour images
        first, second, third = np.moveaxis(pixels[::step, ::step, :3].astype(np.int32), 2, 0)
        spread = max(np.abs(a - b).max() for a, b in ((first, second), (second, third)))
        if spread > GREY_SPREAD:
            return False
    return True


def _thumbnail(pixels: np.ndarray) -> np.ndarray:
    """Average the image over the cells of a small grey one."""
    if pixels.dtype != np.uint8:
        pixels = cv2.normalize(pixels, None, 0, 255, cv2.NORM_MINMAX, cv2.CV_8U)
    if pixels.ndim == 3:
        pixels = cv2.cvtColor(np.ascontiguousarray(pixels[..., :3]), cv2.COLOR_BGR2GRAY)
    return cv2.resize(pixels, THUMBNAIL[::-1], interpolation=cv2.INTER_AREA)


@contextmanager
def caught_standard_error() -> Iterator[list[str]]:
    """Yield a list that holds the lines written to standard error when the block is left.

    libjpeg reports damaged data there, and nowhere else. The whole process is affected, so this is
    for worker processes, where nothing else writes.
    """
    lines: list[str] = []
    with tempfile.TemporaryFile() as file:
        saved = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            yield lines
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            file.seek(0)
            lines += file.read().decode(errors='replace').splitlines()
