import os
import signal
import subprocess
import sys
import time

import cv2
import pytest
from fake_coco import write_coco
from tiny_run import ROOT, load_main, refusal

from mmpretrain_mldecoder.datasets import image_header

TOOL = ROOT / 'tools' / 'dataset_tools' / 'resize.py'


@pytest.fixture
def run(capsys):
    """Run the tool in this process; its exit status and what it printed."""
    main = load_main('dataset_tools/resize')

    def run_tool(*args) -> tuple[int, str]:
        status = main([*map(str, args), '--workers=0'])
        return status, capsys.readouterr().out

    return run_tool


def test_says_what_it_did_and_goes_on(run, fake_coco, tmp_path):
    out = tmp_path / 'out'
    status, printed = run(fake_coco, out, '--size=32')
    assert status == 0
    assert printed.startswith(f'{out}: 19 images of 32 px written, 0 MB before, 0 MB now; ')
    assert '0 were there, 2 other files copied, 0 could not be read' in printed
    assert cv2.imread(str(out / 'val2017/000000000001.jpg')).shape == (32, 32, 3)
    status, printed = run(fake_coco, out, '--size=32')
    assert (status, '19 were there, 0 other files copied' in printed) == (0, True)


def test_images_that_are_not_read_are_named(run, fake_coco, tmp_path, monkeypatch):
    (fake_coco / 'train2017/000000000003.jpg').write_bytes(b'no image')
    (fake_coco / 'val2017.zip').write_bytes(b'')
    for name in ('1.heic', '2.heic', '._3.jpg', '.DS_Store'):
        (fake_coco / 'val2017' / name).write_bytes(b'some')
    monkeypatch.setattr(image_header, 'image_suffixes', lambda: {'.jpg': 'JPEG'})
    status, printed = run(fake_coco, tmp_path / 'out', '--size=32')
    assert status == 1 and '4 other files copied' in printed
    assert 'cannot be read: train2017/000000000003.jpg: ' in printed
    assert 'skipped, an archive: val2017.zip' in printed
    assert f'1 could not be read (listed in {tmp_path}/out/failed.jsonl)\n' in printed
    assert '2 .heic (needs pillow-heif)' in printed and ' .json' not in printed
    assert not list((tmp_path / 'out').rglob('.[_D]*'))


def test_errors_have_no_traceback(run, fake_coco, tmp_path, capsys):
    error = refusal(capsys, run, tmp_path / 'nowhere', tmp_path / 'out', '--size=32')
    assert 'error: no folder at ' in error
    assert 'is the source itself' in refusal(capsys, run, fake_coco, fake_coco, '--size=32')


@pytest.mark.faults
def test_ctrl_c_leaves_whole_files_and_the_next_call_goes_on(tmp_path):
    source = write_coco(tmp_path / 'coco', dict(train=250, val=1))
    command = [sys.executable, str(TOOL), str(source), str(tmp_path / 'out')]
    command += ['--size=448', '--workers=1']
    environment = os.environ | dict(OMP_NUM_THREADS='1', PYTHONWARNINGS='ignore')
    process = subprocess.Popen(
        command,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        # Ctrl-C reaches all processes of a terminal: a session of its own, ...
        start_new_session=True,
        # ... which heeds it, also where these tests run in the background and do not
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 120
    while not list((tmp_path / 'out').glob('train2017/*.jpg')) and time.monotonic() < deadline:
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGINT)
    _, printed = process.communicate(timeout=60)
    assert process.returncode == 130
    kept = 'interrupted: all files written are complete; the same command continues'
    assert printed.splitlines()[-1] == kept
    written = [p for p in (tmp_path / 'out').rglob('*') if p.suffix == '.jpg']
    assert 0 < len(written) < 251
    assert all(cv2.imread(str(path)).shape == (448, 448, 3) for path in written)
    assert not list((tmp_path / 'out').rglob('.*'))  # nothing half written

    again = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert f'{251 - len(written)} images of 448 px written' in again.stdout
    assert f'{len(written)} were there' in again.stdout
