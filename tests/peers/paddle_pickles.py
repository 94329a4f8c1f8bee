"""Save small arrays in every way that Paddle pickles them, and record the files.

    python tests/peers/paddle_pickles.py tests/recorded/paddle_pickles.json   (Paddle's interpreter)

``tests/test_checkpoints/test_restricted_pickle.py`` reads the files without Paddle.
"""

import base64
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import paddle
from paddle.framework import io, io_utils

STATE = {
    'fc.weight': np.array([[0.5, -1.25, 3e-9], [7.0, -0.0, 1e30]], np.float32),
    'bn._mean': np.array([0.125, 2.5], np.float32),
}
KINDS = {
    'half': np.array([1.5, -2.0], np.float16),
    'double': np.array([1 / 3]),
    'count': np.array([3, -4], np.int64),
    'scalar': np.array(2.0, np.float32),
    'columns': np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
    'big endian': np.array([1.0, 2.0], '>f4'),
    'no elements': np.zeros((0, 2), np.float32),
}
BFLOAT16 = [1.0, -2.5, 3.140625]  # exact in bfloat16


def save_split(path: str, protocol: int) -> None:
    """Let Paddle cut an array as it does above 1 GiB, at a smaller limit."""

    # The limit is (2**30 - 1) / itemsize elements, and Paddle asks the dtype for the item's size.
    class Wide(np.ndarray):
        @property
        def dtype(self):
            return type('dtype', (), dict(itemsize=2**28))

    wide = np.arange(10, dtype=np.float32).reshape(2, 5).view(Wide)
    state = io_utils._unpack_saved_dict({'wide': wide, 'bn._mean': STATE['bn._mean']}, protocol)
    plain = {
        name: np.array(value) if isinstance(value, Wide) else value for name, value in state.items()
    }
    paddle.save(plain, path, protocol=protocol)


def main(target: Path) -> None:
    tensors = {name: paddle.to_tensor(value) for name, value in STATE.items()}
    writers = {
        'tensors': lambda path, protocol: paddle.save(tensors, path, protocol=protocol),
        'legacy': lambda path, protocol: io._legacy_save(tensors, path, protocol),
        'arrays': lambda path, protocol: paddle.save(STATE, path, protocol=protocol),
        'kinds': lambda path, protocol: paddle.save(KINDS, path, protocol=protocol),
        'bfloat16': lambda path, protocol: paddle.save(
            {'half': paddle.to_tensor(BFLOAT16).astype('bfloat16')}, path, protocol=protocol
        ),
        'split': save_split,
    }
    files = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, 'weights.pdparams')
        for name, write in writers.items():
            for protocol in (2, 3, 4):
                if (name, protocol) != ('split', 4):  # protocol 4 needs no slices
                    write(str(path), protocol)
                    files[f'{name}-{protocol}'] = base64.b64encode(path.read_bytes()).decode()
    header = dict(
        peer=f'paddlepaddle {paddle.__version__}, numpy {np.__version__}',
        command='python tests/peers/paddle_pickles.py tests/recorded/paddle_pickles.json',
    )
    target.write_text(json.dumps(header | dict(files=files), indent=1) + '\n')


if __name__ == '__main__':
    main(Path(sys.argv[1]))
