"""Walk through the segments at the start of a JPEG."""

import struct
from collections.abc import Iterator

START_OF_SCAN = 0xDA
_WITHOUT_LENGTH = frozenset((0x01, *range(0xD0, 0xD9)))


def jpeg_markers(content: bytes) -> Iterator[tuple[int, int]]:
    """Yield each marker and the place of its 0xff, up to the start of the first scan.

    Bytes that do not belong between two segments are passed over, as libjpeg does. Nothing is
    yielded for what is no JPEG.

    Args:
        content (bytes): The whole file, or its beginning.
    """
    if not content.startswith(b'\xff\xd8'):
        return
    at = 2
    while (at := content.find(b'\xff', at)) >= 0 and at + 4 <= len(content):
        marker = content[at + 1]
        if marker in (0xFF, 0x00):  # padding before a marker, or no marker
            at += 1
            continue
        yield marker, at
        if marker == START_OF_SCAN:
            return
        at += 2
        if marker not in _WITHOUT_LENGTH:
            at += struct.unpack_from('>H', content, at)[0]
