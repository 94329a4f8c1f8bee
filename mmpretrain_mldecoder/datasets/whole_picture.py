"""Whether the file of a picture goes on to its end, told without decoding it."""

import struct

_START_OF_SCAN = 0xDA
_WITHOUT_LENGTH = frozenset((0x01, *range(0xD0, 0xD9)))


def is_whole_picture(content: bytes) -> bool:
    """Return False if a JPEG or a PNG ends before its end marker; True for other formats.

    A JPEG's end marker is looked for behind the start of its first scan, so that neither the end
    of a thumbnail in its EXIF data nor zeros behind half a file (an interrupted download into
    reserved space) are taken for the end. What follows the end marker does not matter.

    Args:
        content (bytes): The whole file.
    """
    if content.startswith(b'\x89PNG'):
        return content.rfind(b'IEND') >= 0
    if not content.startswith(b'\xff\xd8'):
        return True
    at = 2
    while at + 4 <= len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if marker == _START_OF_SCAN:
            # within a scan 0xff is always followed by 0x00 or by a marker
            return content.rfind(b'\xff\xd9', at) >= 0
        if marker == 0xFF:  # padding before a marker
            at += 1
        elif marker in _WITHOUT_LENGTH:
            at += 2
        else:
            at += 2 + struct.unpack_from('>H', content, at + 2)[0]
    return False
