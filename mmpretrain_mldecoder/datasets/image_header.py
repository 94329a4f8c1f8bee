"""What stands in the header of a picture, read without decoding it."""

import io
from dataclasses import dataclass
from typing import NamedTuple

from PIL import Image

_ORIENTATION = 0x0112  # tags of EXIF and TIFF
_BITS_PER_SAMPLE = 0x0102
_GREY_MODES = ('1', 'L', 'LA', 'La', 'I', 'F')
_ALPHA_MODES = ('RGBA', 'RGBa', 'LA', 'La', 'PA')


class Fault(NamedTuple):
    """One thing found in a picture: a code (see ``apis.finding_words``) and what exactly."""

    code: str
    detail: str


@dataclass(frozen=True)
class ImageHeader:
    """What Pillow reads of it.

    Attributes:
        format: Such as ``'JPEG'``.
        mode: Pillow's, such as ``'RGB'``.
        size: Height and width as stored, in pixels.
        orientation: By EXIF, from 1 (upright) to 8; from 5 on, height and width change places.
        bits: A channel.
        transparent: Whether it has transparent parts, or could have.
    """

    format: str
    mode: str
    size: tuple[int, int]
    orientation: int
    bits: int
    transparent: bool

    @classmethod
    def read(cls, content: bytes) -> 'ImageHeader | None':
        """Read it, or return None if Pillow knows no such picture."""
        try:
            with Image.open(io.BytesIO(content)) as image:
                exif = image.getexif()
                bits = 16 if image.mode[0] in 'IF' else 8
                if image.format == 'PNG':
                    bits = content[24]  # of the first chunk, which is always the header
                elif image.format == 'TIFF':
                    bits = max(image.tag_v2.get(_BITS_PER_SAMPLE, (bits,)))
                return cls(
                    format=image.format or '',
                    mode=image.mode,
                    size=(image.height, image.width),
                    orientation=exif.get(_ORIENTATION, 1),
                    bits=bits,
                    transparent=image.mode in _ALPHA_MODES or 'transparency' in image.info,
                )
        except Exception:  # each format has its own
            return None

    def faults(self) -> list[Fault]:
        """List what is unusual."""
        kind = f'{self.format} {self.mode}'
        found = {
            'greyscale': self.mode.split(';')[0] in _GREY_MODES,
            'cmyk': self.mode == 'CMYK',
            'palette': self.mode in ('P', 'PA'),
            'alpha': self.transparent,
        }
        faults = [Fault(code, kind) for code, is_found in found.items() if is_found]
        if self.bits > 8:
            faults.append(Fault('deep', f'{self.format}, {self.bits} bits a channel'))
        if self.orientation in range(2, 9):
            faults.append(Fault('rotated', f'orientation {self.orientation}'))
        return faults
