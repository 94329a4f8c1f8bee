"""What is raised for pictures that cannot be read, or not rightly."""

from ..printable import printable


class UnreadableImage(ValueError):
    """A file that is no picture, not a whole one, or one that would be read wrongly.

    Args:
        path (str): The file.
        reason (str, optional): What is wrong with it. Without it ``path`` is all that is said,
            see :func:`said_in_worker`.
        code (str): One of ``'missing'``, ``'unreadable'``, ``'truncated'``, ``'too_large'`` and
            ``'blank'``. Defaults to ``'unreadable'``.

    Attributes:
        path (str | None): As given; None if it came out of a worker.
        reason (str | None): As given.
        code (str): As given.
    """

    def __init__(self, path: str, reason: str | None = None, code: str = 'unreadable'):
        self.path, self.reason, self.code = path, reason, code
        text = f'cannot read image {printable(path)}: {reason}'
        if reason is None:
            self.path, text = None, said_in_worker(type(self), path)
        super().__init__(text)

    def __reduce__(self):
        arguments = (str(self),) if self.reason is None else (self.path, self.reason, self.code)
        return type(self), arguments


class TooManyUnreadable(ValueError):
    """More pictures of a training could not be read than its dataset allows; lists them."""

    def __init__(self, text: str):
        super().__init__(said_in_worker(type(self), text))


def said_in_worker(kind: type[Exception], text: str) -> str:
    """Return what an exception said, out of the traceback that a ``DataLoader`` makes of it.

    It raises anew what a worker raised, as ``kind(text of the traceback)``.
    """
    return text.rstrip().rpartition(f'{kind.__name__}: ')[2]
