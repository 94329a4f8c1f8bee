"""Overlays of the head's attention for the photos of the report."""

import os
from collections.abc import Sequence

from mmengine.config import Config

from ..apis import MultiLabelInferencer
from ..printable import printable
from .photos import encode_attention


class PhotoAttention:
    """Ask a trained model where it looked for one class of one photo.

    Args:
        config (Config): Of the model.
        checkpoint (str | PathLike): Its weights; those of its EMA where training kept one.
        classes (Sequence[str]): The names in the report; the checkpoint must have the same.

    Raises:
        FileNotFoundError: If there is no checkpoint.
        ValueError: If the checkpoint has other classes; when called, if the head has no attention.
    """

    def __init__(self, config: Config, checkpoint: str | os.PathLike, classes: Sequence[str]):
        if '://' not in os.fspath(checkpoint) and not os.path.isfile(checkpoint):
            raise FileNotFoundError(f'no checkpoint at {checkpoint}')
        self._inferencer = MultiLabelInferencer(config, checkpoint, batch_size=1, backend='torch')
        if list(self._inferencer.classes) != list(classes):
            theirs, ours = (
                printable(', '.join(names[:3])) for names in (self._inferencer.classes, classes)
            )
            raise ValueError(
                f'{checkpoint} has the classes {theirs}, ... and the predictions {ours}, ...: they '
                'do not belong together'
            )
        self._classes = classes
        self._last = (None, None)  # a photo may be both a false alarm and a miss

    def __call__(self, image: str, label: int) -> tuple[str, list[str]]:
        """Return the overlay as a data address, and the classes that share the query."""
        if self._last[0] != image:
            self._last = image, self._inferencer(image, thr=0.0, return_attention=True)[0]
        prediction = self._last[1]
        place = prediction['labels'].index(self._classes[label])
        overlay = encode_attention(prediction['seen'], prediction['attention'][place])
        return overlay, list(prediction['shares_query_with'][place])
