"""Text of a file, a class name or a path, as it may go to a terminal."""

import unicodedata


def printable(text: str) -> str:
    r"""Escape what a terminal would act on, and what is no text.

    These are control characters (``ESC`` begins the sequences that move the cursor, change the
    title, or print in colours; newline and tab among them), the invisible ones that turn the
    direction of writing, line and paragraph separators, and bytes of a file name that are no
    UTF-8. The rest, in any script, stays.

    Args:
        text (str): The text.

    Example:
        >>> printable('a\x1b[2Jb')
        'a\\x1b[2Jb'
    """
    if text.isascii() and text.isprintable():
        return text
    text = text.encode(errors='surrogateescape').decode(errors='backslashreplace')
    return ''.join(_escaped(c) if unicodedata.category(c) in _ACTING else c for c in text)


# Control, format (but for the two that join letters and emoji), line and paragraph separators.
_ACTING = {'Cc', 'Cf', 'Zl', 'Zp'}
_JOINERS = '\u200c\u200d'


def _escaped(character: str) -> str:
    if character in _JOINERS:
        return character
    return character.encode('unicode_escape').decode()
