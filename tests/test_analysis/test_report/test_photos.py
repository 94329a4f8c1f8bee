import base64
import io
import os
import threading
import time

import numpy as np
from PIL import Image

from mmpretrain_mldecoder.analysis.report.images import (
    Mistake,
    encode_attention,
    photo_cards,
    read_thumbnail,
    worst_mistakes,
)


def decode(address: str) -> Image.Image:
    assert address.startswith('data:image/jpeg;base64,')
    return Image.open(io.BytesIO(base64.b64decode(address.partition(',')[2])))


def test_worst_mistakes_by_hand():
    scores = np.array([[0.9, 0.8, 0.1], [0.7, 0.2, 0.3], [0.95, 0.6, 0.4], [0.5, 0.5, 0.5]])
    targets = np.array([[0, 0, 1], [1, 1, -1], [-1, 0, 1], [1, 1, 1]])
    alarms, misses = worst_mistakes(scores, targets, 10)
    assert alarms == [Mistake(0, 0), Mistake(2, 1)]  # one an image; unknown is no mistake
    assert misses == [Mistake(0, 2), Mistake(1, 1), Mistake(2, 2), Mistake(3, 0)]
    assert worst_mistakes(scores, targets, 1) == ([Mistake(0, 0)], [Mistake(0, 2)])
    assert worst_mistakes(scores, targets, 0) == ([], [])


def test_thumbnail_is_small_and_upright(tmp_path):
    photo = Image.new('RGB', (900, 300), 'red')
    exif = photo.getexif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    photo.save(tmp_path / 'a.jpg', exif=exif)
    address = read_thumbnail(str(tmp_path / 'a.jpg'))
    assert decode(address).size == (80, 240)
    assert len(address) < 5000


def test_what_cannot_be_read(tmp_path):
    (tmp_path / 'a.jpg').write_bytes(b'\xff\xd8 no photo')
    assert read_thumbnail(str(tmp_path / 'a.jpg')) is None
    assert read_thumbnail(str(tmp_path / 'absent.jpg')) is None
    assert read_thumbnail('') is None


def test_overlay_is_bright_where_the_attention_is():
    seen = np.full((60, 120, 3), 90, np.uint8)
    attention = np.zeros((2, 4, 8))
    attention[:, 1, 6] = 1
    overlay = np.asarray(decode(encode_attention(seen, attention)).convert('L')).astype(int)
    assert overlay.shape == (120, 240)
    row, column = np.unravel_index(overlay.argmax(), overlay.shape)
    assert abs(row - 45) < 15 and abs(column - 195) < 15


def test_cards(tmp_path):
    Image.new('RGB', (64, 48)).save(tmp_path / 'a.jpg')
    images = [str(tmp_path / 'a.jpg'), 'absent.jpg']
    scores = np.array([[0.25, 0.75], [0.5, 0.5]], np.float32)
    targets = np.array([[1, 0], [1, 1]])
    asked = []

    def attend(image, label):
        asked.append((image, label))
        return 'overlay', ['twin']

    cards = photo_cards([Mistake(0, 1), Mistake(1, 0)], images, scores, targets, 'xy', attend)
    assert cards[0]['label'] == 'y' and cards[0]['score'] == 0.75 and cards[0]['truth'] == ['x']
    assert cards[0]['attention'] == 'overlay' and cards[0]['shares'] == ['twin']
    assert cards[1]['photo'] is None and cards[1]['attention'] is None
    assert asked == [(images[0], 1)]


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / 'a.jpg')
    thread = threading.Thread(target=_write_later, args=(tmp_path / 'a.jpg',), daemon=True)
    thread.start()
    start = time.monotonic()
    assert read_thumbnail(str(tmp_path / 'a.jpg')) is None
    assert time.monotonic() - start < 4


def _write_later(pipe):
    """Set a reader free, if there is one."""
    time.sleep(5)
    os.close(os.open(pipe, os.O_RDWR))
