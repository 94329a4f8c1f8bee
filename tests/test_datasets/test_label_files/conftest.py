from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmpretrain_mldecoder.datasets.label_files import Answers, read_labels
from mmpretrain_mldecoder.errors import OpenQuestion


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

    def asked(self, argument: str, **answers) -> dict:
        """The choices of the question that reading ends with."""
        with pytest.raises(OpenQuestion) as caught:
            self.read(**answers)
        assert caught.value.argument == argument
        assert argument in str(caught.value)
        return caught.value.choices

    def labels(self, **answers) -> dict:
        """The names with 1, and those with -1 behind a question mark, of each image."""
        table = self.read(**answers)
        signs = {1: '', -1: '?'}
        names = np.array(table.classes)
        return {
            image: [signs[targets[i]] + names[i] for i in np.flatnonzero(targets)]
            for image, targets in zip(table.images, table.targets, strict=True)
        }


@pytest.fixture
def folder(tmp_path) -> LabelledFolder:
    return LabelledFolder(tmp_path)
