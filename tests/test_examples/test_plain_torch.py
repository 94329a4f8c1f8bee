"""The example runs, and learns, where only torch is installed."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCRIPT = """
import sys
from importlib.abc import MetaPathFinder

class Hidden(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in hidden:
            raise ModuleNotFoundError(f'No module named {name!r}', name=name)

hidden = {'mmengine', 'mmcv', 'mmpretrain', 'wrapt', 'rich', 'msgspec', 'matplotlib', 'cv2'}
sys.meta_path.insert(0, Hidden())
sys.path[:0] = ['examples', '.']
import plain_torch

backbone, channels = plain_torch.build_backbone()  # timm's, if that is there
assert backbone(plain_torch.render(2)[0]).shape[:2] == (2, channels)
sys.modules['timm'] = None
assert plain_torch.main(num_steps=40) > 0.7  # half of the labels are positive
"""


def test_plain_torch_where_mmpretrain_is_missing():
    subprocess.run([sys.executable, '-c', SCRIPT], cwd=ROOT, check=True)
