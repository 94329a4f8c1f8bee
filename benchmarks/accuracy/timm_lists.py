"""timm's ``train.py`` on lists of photos.

timm reads multi-label data through the formats of other packages only: Hugging Face datasets,
WebDataset, TFDS. Here ``--data-dir FOLDER`` has ``SPLIT.json``; all else is the script's own.
"""

import json
import runpy
import sys
from pathlib import Path

import timm
from timm.data import ImageDataset
from timm.data.readers.reader import Reader

RUN_SCRIPT = 'from benchmarks.accuracy.timm_lists import run_script; run_script()'
"""For ``python -c``, with the script and its options. The reader is no part of ``__main__``, so
that workers can be sent it."""


class ListReader(Reader):
    """Reads ``[[path, [class, ...]], ...]`` of a JSON file for timm's ``ImageDataset``."""

    def __init__(self, path: Path):
        super().__init__()
        self.photos = json.loads(path.read_text())

    def __getitem__(self, index: int):
        path, classes = self.photos[index]
        return open(path, 'rb'), classes

    def __len__(self) -> int:
        return len(self.photos)

    def _filename(self, index: int, basename: bool = False, absolute: bool = False) -> str:
        path = self.photos[index][0]
        return Path(path).name if basename else path


def run_script() -> None:
    """Run the script of the first argument with the others, on ``DATA_DIR/SPLIT.json``."""

    def create_dataset(name, root, split, target_transform, **kwargs):
        reader = ListReader(Path(root, f'{split}.json'))
        return ImageDataset(root, reader, target_transform=target_transform)

    timm.data.create_dataset = create_dataset
    sys.argv = sys.argv[1:]
    runpy.run_path(sys.argv[0], run_name='__main__')
