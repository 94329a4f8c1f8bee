"""Predictions as lines of text, one a picture, under each other as they come."""

from collections.abc import Iterable

from rich.cells import cell_len

from ..printable import printable


class PredictionTable:
    """Format predictions so that their columns stand under each other.

    Args:
        paths (Iterable[str]): Those of all pictures to come.
        labels (Iterable[str]): All names that may come.
    """

    def __init__(self, paths: Iterable[str], labels: Iterable[str]):
        self._path_width = max((cell_len(printable(path)) for path in paths), default=0)
        self._label_width = max((cell_len(printable(label)) for label in labels), default=0)

    def row(self, prediction: dict) -> str:
        """Return one line: path, labels and scores, ``-`` if there is no label."""
        pairs = zip(prediction['labels'], prediction['scores'], strict=True)
        cells = [
            f'{_pad(printable(label), self._label_width)} {score:.3f}' for label, score in pairs
        ]
        path = _pad(printable(prediction['path']), self._path_width)
        return f'{path}  {"  ".join(cells) or "-"}'


def _pad(text: str, width: int) -> str:
    return text + ' ' * (width - cell_len(text))
