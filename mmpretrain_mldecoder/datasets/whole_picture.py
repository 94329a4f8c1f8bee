"""Whether the file of a picture goes on to its end, told without decoding it."""

from .jpeg_markers import START_OF_SCAN, jpeg_markers


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
    for marker, at in jpeg_markers(content):
        if marker == START_OF_SCAN:
            # within a scan 0xff is always followed by 0x00 or by a marker
            return content.rfind(b'\xff\xd9', at) >= 0
    return False
