"""The demo's own process, asked for what is not its to give, and given what it should not take."""

import json
import signal
import uuid
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import cv2
import numpy as np
import pytest
from served_demo import CONFIG, ROOT, served_demo, write_random_checkpoint

pytest.importorskip('gradio', reason="pip install -e '.[app]'")
pytestmark = pytest.mark.faults


@pytest.fixture
def server(tmp_path):
    """Address, process and folder of uploads of a demo with random weights."""
    checkpoint = write_random_checkpoint(tmp_path / 'random.pth')
    uploads = tmp_path / 'uploads'
    log = tmp_path / 'log.txt'
    with served_demo(checkpoint, log, GRADIO_TEMP_DIR=str(uploads)) as (address, app):
        yield address, app, uploads


def ask(address: str, body: bytes | None = None, kind: str = 'application/json'):
    request = Request(address, data=body, headers={'Content-Type': kind} if body else {})
    try:
        with urlopen(request, timeout=120) as response:
            return response.status, response.read()
    except HTTPError as error:
        return error.code, error.read()


def upload(address: str, content: bytes, name: str = 'a.png'):
    mark = uuid.uuid4().hex
    body = (
        f'--{mark}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n'
        'Content-Type: image/png\r\n\r\n'
    ).encode()
    body += content + f'\r\n--{mark}--\r\n'.encode()
    return ask(f'{address}/gradio_api/upload', body, f'multipart/form-data; boundary={mark}')


def predict(address: str, path: str) -> dict:
    """Do what the page does when a photo is dropped, with any path; return the last message."""
    session = uuid.uuid4().hex
    data = [dict(path=path, meta=dict(_type='gradio.FileData')), 0.0]
    join = dict(data=data, fn_index=0, session_hash=session, event_data=None, trigger_id=None)
    assert ask(f'{address}/gradio_api/queue/join', json.dumps(join).encode())[0] == 200
    _, events = ask(f'{address}/gradio_api/queue/data?session_hash={session}')
    messages = [json.loads(line[5:]) for line in events.decode().splitlines() if line]
    return next(m for m in messages if m['msg'] == 'process_completed')


def test_serves_its_own_folder_only_and_takes_no_more_than_it_should(server, tmp_path):
    address, app, folder = server
    secret = tmp_path / 'secret.png'
    cv2.imwrite(str(secret), np.zeros((8, 8, 3), np.uint8))
    up = '../' * 12
    for asked in ('/etc/passwd', f'{up}etc/passwd', '%2e%2e/' * 12 + 'etc/passwd', str(secret)):
        for route in ('gradio_api/file=', 'file=', 'static/', 'assets/', 'gradio_api/proxy='):
            status, body = ask(f'{address}/{route}{asked}')
            assert status in (400, 403, 404), (route, asked)
            assert b'root:' not in body
    for own in (ROOT / 'README.md', 'README.md', tmp_path / 'random.pth', CONFIG):
        assert ask(f'{address}/gradio_api/file={own}')[0] in (403, 404)
    # A path that was not uploaded is not predicted either: the overlay would show the image.
    assert predict(address, str(secret))['success'] is False
    assert predict(address, '/etc/passwd')['success'] is False

    status, body = upload(address, secret.read_bytes(), f'{up}tmp/escaped.png')
    assert status == 200
    (taken,) = json.loads(body)
    assert Path(taken).resolve().is_relative_to(folder.resolve())
    assert predict(address, taken)['success'] is True
    status, _ = upload(address, bytes(21_000_000))
    assert status in (400, 413)
    assert sum(f.stat().st_size for f in folder.rglob('*') if f.is_file()) < 20_000_000

    app.send_signal(signal.SIGTERM)
    app.wait(60)
    assert [f for f in folder.rglob('*') if f.is_file()] == []
