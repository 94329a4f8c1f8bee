"""Images that cannot be read, met by several processes, and one that would fill the memory."""

import json
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from faulty_images import encoded, photo, png_of
from tiny_run import ROOT, free_port, run, write_tiny_config

pytestmark = pytest.mark.faults

_OURS = """
for loader in (train_dataloader, val_dataloader):
    loader['dataset']['pipeline'][0] = dict(type='LoadWholeImage')
del loader
train_dataloader['batch_size'] = 2
train_dataloader['num_workers'] = 2
train_cfg['max_epochs'] = 2
"""
# Prints what the process took before it read an image, and its worker at most.
_RESIZE = """
import resource, runpy, sys
import mmpretrain_mldecoder, mmpretrain.datasets
start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
sys.argv = ['resize.py', 'photos', 'out', '--size', '32', '--workers', '1']
try:
    runpy.run_path({tool!r}, run_name='__main__')
finally:
    print(start, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
BAD = [f'train2017/{i:012d}.jpg' for i in (1, 4, 7, 10)]


def train_on_two(folder: Path, allowed: int) -> str:
    more = f"train_dataloader['dataset']['max_unreadable'] = {allowed}\n"
    config = write_tiny_config(folder, _OURS + more)
    for name in BAD:
        (folder / 'coco' / name).write_bytes(b'')
    script = ROOT / 'tools' / 'dist_train.sh'
    command = ('bash', script, config, '2', '--work-dir', folder / 'run')
    return run(*command, check=False, PORT=free_port())


def test_two_processes_count_together(tmp_path):
    """Each of them, and each of their two workers, meets another part of the four images."""
    printed = train_on_two(tmp_path, allowed=4)
    assert (tmp_path / 'run/epoch_2.pth').is_file(), printed
    (file,) = tmp_path.glob('run/*/unreadable_images.jsonl')
    names = [Path(json.loads(line)['path']).name for line in file.read_text().splitlines()]
    assert set(names) == {Path(name).name for name in BAD}
    assert printed.count('4 images could not be read') == 1


def test_two_processes_stop_together(tmp_path):
    printed = train_on_two(tmp_path, allowed=3)
    assert 'error: 4 images cannot be read, more than max_unreadable=3' in printed
    assert all(f'{name} (the file is empty)' in printed for name in BAD)
    assert not (tmp_path / 'run/epoch_2.pth').exists()


def test_a_bomb_is_refused_in_the_memory_of_a_photo(tmp_path):
    """A real PNG of 1.2 MB, whole and valid, which OpenCV unpacks to 1.2 GB in half a minute."""
    side = 20_000
    compressor = zlib.compressobj(9)
    row = bytes(1 + 3 * side)
    data = b''.join(compressor.compress(row) for _ in range(side)) + compressor.flush()
    (tmp_path / 'photos').mkdir()
    (tmp_path / 'photos/bomb.png').write_bytes(png_of(side, side, data))
    (tmp_path / 'photos/small.png').write_bytes(encoded(photo(0), 'PNG'))
    done = subprocess.run(
        [sys.executable, '-c', _RESIZE.format(tool=str(ROOT / 'tools/dataset_tools/resize.py'))],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1, done.stderr
    failed = json.loads((tmp_path / 'out/failed.jsonl').read_text())
    assert '20,000 x 20,000 pixels, more than max_pixels' in failed['error']
    assert (tmp_path / 'out/small.png').is_file()
    start, peak = map(int, done.stdout.split()[-2:])  # in kB
    assert peak - start < 200_000
