from pathlib import Path

import pytest
from PIL import Image

from mmpretrain_mldecoder.datasets.label_files import Answers, read_labels


class LabelledFolder:
    """A folder of images in which tests write label files."""

    def __init__(self, path: Path):
        self.path = path

    def add_images(self, *names: str) -> None:
        for number, name in enumerate(names):
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new('RGB', (8, 6), (number * 7 % 256, number // 36, 0)).save(path)

    def write(self, name: str, text: str, encoding: str = 'utf-8') -> None:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode(encoding))

    def read(self, **answers):
        return read_labels(self.path, Answers(**answers))

    def labels(self, **answers) -> dict:
        """The names with 1, and those with -1 behind a question mark, of each image."""
        table = self.read(**answers)
        signs = {1: '', -1: '?'}
        return {
            image: [
                signs[target] + name
                for name, target in zip(table.classes, targets, strict=True)
                if target
            ]
            for image, targets in zip(table.images, table.targets.tolist(), strict=True)
        }


@pytest.fixture
def folder(tmp_path) -> LabelledFolder:
    return LabelledFolder(tmp_path)
