"""Predict and export over and over in one process, until killed; see soak.py."""

import argparse
import tempfile
from pathlib import Path

from mmengine.config import Config

from mmpretrain_mldecoder.apis import MultiLabelInferencer, expand_inputs
from mmpretrain_mldecoder.apis.export.export_model import export_model


def main() -> None:
    """Continue until killed, and print a line per turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ('config', 'checkpoint', 'images'):
        parser.add_argument(name)
    args = parser.parse_args()
    images = expand_inputs([args.images])
    turn = 0
    while True:
        config = Config.fromfile(args.config)
        inferencer = MultiLabelInferencer(config, args.checkpoint, 'cpu')
        found = sum(len(result['labels']) for result in inferencer.stream(images))
        with tempfile.TemporaryDirectory() as folder:
            export_model(config, args.checkpoint, Path(folder, 'model.onnx'))
        turn += 1
        print(f'turn {turn}: {found} labels on {len(images)} images', flush=True)


if __name__ == '__main__':
    main()
