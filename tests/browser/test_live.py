"""The page of a training in a real browser that has no network, while the page is rewritten."""

import numpy as np
import pytest

from mmpretrain_mldecoder.visualization.live_page import LiveImage, LivePage

HOSTILE = '</script><img src=x onerror="window.hacked = 1">'
CLASSES = ['ant', 'bee', HOSTILE, 'dog']


class Run:
    """A training of made-up numbers, one validation after the other."""

    def __init__(self, folder, refresh=60):
        self.refresh = refresh
        self.page = LivePage(folder / 'live.html', 'run', 'epoch', CLASSES)
        views = np.random.default_rng(0).integers(0, 255, (16, 60, 80, 3), dtype=np.uint8)
        targets = np.array([1, 0, 1, -1])
        self.page.set_images(
            [LiveImage(f'{i}{HOSTILE}.jpg', v, targets) for i, v in enumerate(views)]
        )
        self.steps = 0

    def go_on(self, is_finished=False):
        self.steps += 1
        step = self.steps
        metrics = {'coco/mAP': 50.0 + step, 'coco/mAP_raw': 40.0 + step, 'coco/CF1': 30.0}
        ap = np.array([0.1 * step, 0.5, np.nan, 0.9])
        scores = np.tile([0.9, 0.6, 0.2, 0.1 * step], (16, 1))
        maps = np.random.default_rng(step).random((16, 4, 7, 7))
        self.page.add_validation(step, metrics, ap, np.array([3, 2, 0, 4]), scores, maps)
        records = [
            dict(step=s, loss=1000 / s**2, lr=1e-3, loss_aux=1.0) for s in range(1, 20 * step)
        ]
        progress = dict(iteration=20 * step, max_iterations=400, epoch=step, max_epochs=20)
        self.page.write(records, is_finished, **progress, seconds_left=100, refresh=self.refresh)


@pytest.fixture
def training(page, tmp_path):
    run = Run(tmp_path)
    run.go_on()
    page.context.set_offline(True)
    page.goto(run.page.path.resolve().as_uri())
    return run


def shows(page, selector: str, text: str) -> None:
    """Wait for a text; a reload may come at any time."""
    for _ in range(200):
        if text in page.locator(selector).first.inner_text():
            return
        page.wait_for_timeout(50)
    raise AssertionError(f'{selector} never shows {text}')


def test_numbers_and_images_are_drawn(page, training):
    training.go_on()
    page.reload()
    shows(page, '#state', 'Running, as of')
    assert page.locator('#metric-chart p').inner_text() == 'epoch 2: coco/mAP 52, coco/mAP_raw 42'
    assert 'iteration 39: loss 0.6575 (logarithmic)' in page.locator('#training-chart').inner_text()
    assert page.locator('#training option').all_inner_texts() == ['loss', 'loss_aux']
    assert page.locator('#metric option').all_inner_texts() == ['coco/mAP', 'coco/CF1']
    rows = page.locator('#classes tbody tr').all_inner_texts()
    assert [row.split('\t')[:4] for row in rows] == [
        *(['ant', '3', '20.00', '+10.00'], ['bee', '2', '50.00', '0.00']),
        *(['dog', '4', '90.00', '0.00'], [HOSTILE, '0', '–', '–']),
    ]
    cards = page.locator('.card')
    assert cards.count() == 16
    labels = [text.split('\n') for text in cards.first.locator('.label').all_inner_texts()]
    assert labels == [
        *(['✓', 'ant', '0.90'], ['○', HOSTILE, '0.20'], ['✗', 'bee', '0.60'], ['?', 'dog', '0.20']),
    ]
    # the map covers the image, which is grey then
    image, over = cards.first.locator('img').first, cards.first.locator('.over')
    assert over.bounding_box() == image.bounding_box() and image.get_attribute('class') == 'grey'
    first = over.get_attribute('src')
    cards.first.get_by_role('button', name='bee').click()
    assert over.get_attribute('src') != first
    cards.first.get_by_role('button', name='bee').click()
    assert over.count() == 0 and image.get_attribute('class') == ''
    page.locator('#metric-chart svg').hover(position=dict(x=60, y=100))
    assert page.locator('#metric-chart p').inner_text().startswith('epoch 1: coco/mAP 51')
    assert page.evaluate('window.hacked') is None and page.errors == []


def test_it_follows_the_training_and_keeps_what_was_chosen(page, tmp_path):
    training = Run(tmp_path, refresh=1)
    training.go_on()
    page.goto(training.page.path.as_uri())
    shows(page, '#facts', '1 of 20')
    page.locator('#filter').fill('AN')
    page.locator('#metric').select_option('coco/CF1')
    for epoch in (2, 3):
        training.go_on()
        shows(page, '#facts', f'{epoch} of 20')
    shows(page, '#shown', '1 of 4 classes')
    shows(page, '#when-value', 'epoch 3')
    assert page.locator('#metric').input_value() == 'coco/CF1'
    # while somebody writes, the page waits
    training.go_on()
    for _ in range(12):
        page.locator('#filter').press('Backspace')
        page.wait_for_timeout(200)
    shows(page, '#facts', '3 of 20')
    shows(page, '#facts', '4 of 20')
    page.locator('#when').fill('0')
    training.go_on()
    shows(page, '#facts', '5 of 20')
    shows(page, '#when-value', 'epoch 1')  # an earlier validation stays chosen
    page.locator('#refresh').uncheck()
    training.go_on()
    page.wait_for_timeout(2500)
    shows(page, '#facts', '5 of 20')
    page.locator('#refresh').check()
    shows(page, '#facts', '6 of 20')
    training.go_on(is_finished=True)
    shows(page, '#state', 'The training is finished.')
    assert page.locator('#refresh').is_hidden() and page.errors == []


@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_narrow(page, training, scheme):
    page.set_viewport_size(dict(width=360, height=800))
    page.emulate_media(color_scheme=scheme)
    training.go_on()
    page.reload()
    assert page.locator('.card').count() == 16
    assert page.evaluate('document.documentElement.scrollWidth') <= 360
    assert page.errors == []


def test_before_the_first_validation(page, tmp_path):
    run = LivePage(tmp_path / 'live.html', 'run', 'iteration', [], notes=['not validated'])
    progress = dict(iteration=0, max_iterations=9, epoch=None, max_epochs=None, seconds_left=None)
    run.write([], **progress, refresh=60)
    page.goto(run.path.as_uri())
    assert page.locator('#training-chart').inner_text() == 'nothing yet'
    assert page.locator('#notes').inner_text() == 'not validated'
    for part in ('metric-figure', 'validations-section', 'classes-section', 'images-section'):
        assert page.locator(f'#{part}').is_hidden()
    assert page.errors == []
