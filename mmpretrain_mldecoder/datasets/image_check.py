"""What is wrong or unusual with one picture of a dataset, as the pipeline's loader sees it."""

import hashlib
import io
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import mmcv
import mmengine.fileio as fileio
import numpy as np
from mmcv.transforms import LoadImageFromFile
from PIL import Image

from .decoder_messages import caught_standard_error
from .image_header import Fault, ImageHeader
from .whole_picture import is_whole_picture

# Rows and columns of the small grey pictures that duplicates are found with.
THUMBNAIL = (16, 18)
GREY_SPREAD = 2  # levels by which the channels of a grey picture may differ, for rounding
_DAMAGE = ('Corrupt JPEG data', 'Premature end of JPEG')


class PictureCheck(NamedTuple):
    """What :meth:`ImageChecker.check` found.

    Attributes:
        faults: All that is wrong or unusual; empty for an ordinary picture.
        digest: 16 bytes that are equal for equal files; None if the file cannot be read.
        thumbnail: ``(16, 18)`` uint8, grey; None if the picture was not decoded.
    """

    faults: tuple[Fault, ...]
    digest: bytes | None = None
    thumbnail: np.ndarray | None = None


@dataclass(frozen=True)
class ImageChecker:
    """Checks pictures as a pipeline's ``LoadImageFromFile`` reads them.

    Attributes:
        color_type: As in the loader. Defaults to ``'color'``.
        backend: Its ``imdecode_backend``. Defaults to ``'cv2'``.
        backend_args: Where its files come from. Defaults to None: by the prefix of the path.
        quick: Whether to read the header only, without decoding. Then greyscale photos that are
            stored in colour, damage inside a file and duplicates with other bytes are not
            found. Defaults to False.
    """

    color_type: str = 'color'
    backend: str = 'cv2'
    backend_args: dict | None = None
    quick: bool = False

    @classmethod
    def of_loader(cls, loader: LoadImageFromFile, quick: bool = False) -> 'ImageChecker':
        """Check pictures as ``loader`` reads them."""
        return cls(loader.color_type, loader.imdecode_backend, loader.backend_args, quick)

    @property
    def turns_upright(self) -> bool:
        """Whether the loader follows the EXIF orientation."""
        return self.color_type in ('color', 'grayscale')

    def check(self, picture: tuple[str, tuple[int, int] | None]) -> PictureCheck:
        """Look at one picture; never raises for what is in the file.

        Args:
            picture (tuple): Path, and height and width by the annotations, or None.
        """
        path, annotated_size = picture
        try:
            content = fileio.get(path, backend_args=self.backend_args)
        except FileNotFoundError:
            return PictureCheck((Fault('missing', ''),))
        except OSError as error:
            return PictureCheck((Fault('unreadable', error.strerror or str(error)),))
        digest = hashlib.blake2b(content, digest_size=16).digest()
        if not content:
            return PictureCheck((Fault('unreadable', 'the file is empty'),), digest)
        with caught_standard_error() as messages:
            header = ImageHeader.read(content)
            pixels = None if self.quick else self._decode(content)
            reason = self._why_incomplete(content, header, pixels)
        if reason is not None:
            return PictureCheck((reason,), digest)
        faults = [] if header is None else header.faults()
        damage = next((line for line in messages if line.startswith(_DAMAGE)), None)
        if damage:
            faults.append(Fault('damaged', damage.strip()))
        if pixels is not None and not any(fault.code == 'greyscale' for fault in faults):
            faults += [Fault('greyscale', 'stored in colour')] if _is_grey(pixels) else []
        if annotated_size is not None:
            faults += self._size_fault(annotated_size, header, pixels)
        return PictureCheck(tuple(faults), digest, None if pixels is None else _thumbnail(pixels))

    def _decode(self, content: bytes) -> np.ndarray | None:
        """Return the pixels that the loader gives, None where it fails."""
        try:
            return mmcv.imfrombytes(content, flag=self.color_type, backend=self.backend)
        except Exception:  # each decoder has its own
            return None

    def _why_incomplete(
        self, content: bytes, header: ImageHeader | None, pixels: np.ndarray | None
    ) -> Fault | None:
        """Return the fault of a picture that cannot be read to its end."""
        if not is_whole_picture(content):
            return Fault('truncated', f'ends after {len(content):,} bytes')
        if (header if self.quick else pixels) is not None:
            return None
        if header is None:
            return Fault('unreadable', 'no picture in it')
        try:
            with Image.open(io.BytesIO(content)) as image:
                image.load()
        except Exception as error:  # as above
            return Fault('truncated', str(error))
        return Fault(
            'unreadable', f'{header.format}, which the loader ({self.backend}) cannot read'
        )

    def _size_fault(
        self, annotated: tuple, header: ImageHeader | None, pixels: np.ndarray | None
    ) -> list[Fault]:
        """Compare sizes; height and width by the file may be those before it is turned."""
        height, width = header.size if pixels is None else pixels.shape[:2]
        turned = header is not None and header.orientation >= 5
        if annotated in ((height, width), (width, height) if turned else (height, width)):
            return []
        detail = f'{width} x {height} px, by the annotations {annotated[1]} x {annotated[0]}'
        return [Fault('other_size', detail)]


def _is_grey(pixels: np.ndarray) -> bool:
    """Say whether the channels are alike, looking at every fourth row and column."""
    if pixels.ndim == 2 or pixels.shape[2] < 3:
        return True
    for step in (32, 4):  # a few pixels are enough for nearly all colour pictures
        first, second, third = np.moveaxis(pixels[::step, ::step, :3].astype(np.int32), 2, 0)
        spread = max(np.abs(a - b).max() for a, b in ((first, second), (second, third)))
        if spread > GREY_SPREAD:
            return False
    return True


def _thumbnail(pixels: np.ndarray) -> np.ndarray:
    """Average the picture over the cells of a small grey one."""
    if pixels.dtype != np.uint8:
        pixels = cv2.normalize(pixels, None, 0, 255, cv2.NORM_MINMAX, cv2.CV_8U)
    if pixels.ndim == 3:
        pixels = cv2.cvtColor(np.ascontiguousarray(pixels[..., :3]), cv2.COLOR_BGR2GRAY)
    return cv2.resize(pixels, THUMBNAIL[::-1], interpolation=cv2.INTER_AREA)
