"""The web demo in a real browser: a photo is uploaded, the threshold moved, a label clicked."""

import json
import re
from pathlib import Path
from urllib.request import Request, urlopen

import cv2
import numpy as np
import pytest
from served_demo import CONFIG, ROOT, served_demo, write_random_checkpoint

from mmpretrain_mldecoder.apis import MultiLabelInferencer

pytest.importorskip('gradio', reason="pip install -e '.[app]'")


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory) -> Path:
    """The demo's trained checkpoint, if it was trained here, else one of random weights."""
    trained = sorted((ROOT / 'work_dirs' / 'demo').glob('best_coco_mAP_epoch_*.pth'))
    if trained:
        return trained[-1]
    return write_random_checkpoint(tmp_path_factory.mktemp('demo') / 'random.pth')


@pytest.fixture(scope='module')
def address(checkpoint, tmp_path_factory):
    """The demo as its tool serves it."""
    log = tmp_path_factory.mktemp('app') / 'log.txt'
    with served_demo(checkpoint, log) as (address, _):
        yield address
    text = log.read_text()
    assert f'serving on {address}' in text
    # Gradio logs that it refused a path; nothing else went wrong.
    assert text.count('Traceback') == text.count('gradio.exceptions.InvalidPathError'), text


@pytest.fixture(scope='module')
def photo(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp('photo') / 'shapes.png'
    image = np.full((96, 128, 3), (90, 120, 100), np.uint8)
    cv2.circle(image, (30, 40), 20, (30, 30, 220), -1)
    cv2.rectangle(image, (80, 50), (110, 80), (220, 60, 30), -1)
    cv2.imwrite(str(path), image)
    return path


@pytest.fixture(scope='module')
def expected(checkpoint, photo) -> list[tuple[str, float]]:
    """All labels of the photo with their scores, best first."""
    (prediction,) = MultiLabelInferencer(CONFIG, checkpoint, device='cpu')(str(photo), thr=0)
    return list(zip(prediction['labels'], prediction['scores'], strict=True))


@pytest.fixture
def demo(page, address):
    """The page, opened; it asks nobody but the server, and nothing goes wrong on it."""
    elsewhere = []
    page.on('request', lambda request: elsewhere.append(request.url))
    page.goto(address)
    page.locator('#message', has_text='Drop a photo.').wait_for()
    yield page
    own = (address, 'data:', 'blob:')
    assert [url for url in elsewhere if not url.startswith(own)] == []
    assert page.errors == []


def upload(demo, path):
    demo.set_input_files('input[type=file]', str(path))


def set_threshold(demo, threshold: float) -> None:
    number = demo.locator('input[type=number]')
    number.fill(f'{threshold:.2f}')
    number.press('Enter')


def labels(demo) -> list[tuple[str, int]]:
    rows = demo.locator('.confidence-set').all_inner_texts()
    found = [re.fullmatch(r'(.+?)\s+(\d+)%', row.strip(), re.DOTALL).groups() for row in rows]
    return [(name, int(percent)) for name, percent in found]


def wait_for_number(demo, number: int) -> None:
    words = '1 label.' if number == 1 else f'{number} labels.'
    demo.locator('#message', has_text=re.compile(rf'^\s*{words}')).wait_for()
    for _ in range(100):
        if demo.locator('.confidence-set').count() == number:
            return
        demo.wait_for_timeout(50)
    raise AssertionError(f'{demo.locator(".confidence-set").count()} labels, not {number}')


def overlay_pixels(demo) -> list:
    """Width, height and mean colour of the overlay as the browser has decoded it."""
    return demo.locator('#overlay img').evaluate(
        """async image => {
            await image.decode();
            const canvas = document.createElement('canvas');
            canvas.width = image.naturalWidth; canvas.height = image.naturalHeight;
            const context = canvas.getContext('2d');
            context.drawImage(image, 0, 0);
            const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
            const sums = [0, 0, 0];
            for (let i = 0; i < pixels.length; i++) if (i % 4 < 3) sums[i % 4] += pixels[i];
            return [canvas.width, canvas.height, ...sums.map(s => 4 * s / pixels.length)];
        }"""
    )


def test_labels_threshold_and_attention(demo, photo, expected):
    set_threshold(demo, 0)
    upload(demo, photo)
    wait_for_number(demo, 12)
    shown = labels(demo)
    assert [name for name, _ in shown] == [name for name, _ in expected]
    for (_, percent), (_, score) in zip(shown, expected, strict=True):
        assert abs(percent - 100 * score) <= 0.51  # rounded

    # The best label's attention shows at once, another's when it is clicked.
    title = demo.locator('#overlay label')
    assert expected[0][0] in title.inner_text()
    first = overlay_pixels(demo)
    assert first[:2] == [640, 480]  # the photo's aspect, enlarged
    name, score = expected[2]
    demo.locator('.confidence-set', has_text=name).first.click()
    demo.locator('#overlay label', has_text=f'{name} ({score:.2f})').wait_for()
    demo.locator('#caption', has_text=f'where the head looked for {name}').wait_for()
    demo.wait_for_timeout(500)
    second = overlay_pixels(demo)
    assert second[2:] != first[2:]

    # The threshold chooses among the scores: first most of them, then few.
    gaps = [n for n in range(1, 12) if expected[n - 1][1] - expected[n][1] > 0.02]
    assert gaps[0] < 3 <= gaps[-1]
    for number in (gaps[-1], gaps[0]):
        set_threshold(demo, (expected[number - 1][1] + expected[number][1]) / 2)
        wait_for_number(demo, number)
        assert [name for name, _ in labels(demo)] == [name for name, _ in expected[:number]]
    # The label whose attention was shown is gone: the best takes its place.
    demo.locator('#overlay label', has_text=expected[0][0]).wait_for()

    set_threshold(demo, 1)
    demo.locator('#message', has_text='No label reaches 1.00').wait_for()
    assert demo.locator('.confidence-set:visible').count() == 0


def test_what_is_no_image_is_answered_on_the_page(demo, photo, tmp_path):
    broken = tmp_path / 'broken.jpg'
    broken.write_text('no image')
    set_threshold(demo, 0)
    upload(demo, broken)
    demo.locator('#message', has_text='This file cannot be read as an image.').wait_for()
    demo.get_by_label('Remove Image').click()
    demo.locator('#message', has_text='Drop a photo.').wait_for()
    upload(demo, photo)
    wait_for_number(demo, 12)
    # the slider on a narrow screen
    demo.set_viewport_size(dict(width=400, height=800))
    set_threshold(demo, 1)
    slider = demo.locator('input[type=range]')
    slider.focus()
    slider.press('Home')  # to 0
    wait_for_number(demo, 12)
    assert demo.evaluate('document.documentElement.scrollWidth') <= 400


def test_images_of_the_server_are_not_shown(address, photo):
    """Whoever asks for a file that was not uploaded is refused: nothing of it is looked at."""

    def ask(path: str, data: dict | None = None) -> str:
        body = None if data is None else json.dumps(data).encode()
        request = Request(
            f'{address}/gradio_api/{path}', body, {'Content-Type': 'application/json'}
        )
        with urlopen(request) as reply:
            return reply.read().decode()

    upload = dict(path=str(photo), orig_name='a.png', meta={'_type': 'gradio.FileData'})
    ask('queue/join', dict(data=[upload, 0.0], fn_index=0, session_hash='x'))
    events = ask('queue/data?session_hash=x')
    assert '"success":false' in events.replace(' ', '')
    assert 'process_completed' in events
    assert 'labels' not in events
