"""The report in a real browser that has no network: what it shows, and what it does."""

import numpy as np
import pytest
from PIL import Image
from prediction_dumps import random_run, write_classes_config, write_dump

from mmpretrain_mldecoder.analysis.report import write_report
from mmpretrain_mldecoder.evaluation import MultiLabelMAP, precision_recall_at_threshold

pytest.importorskip('plotly')

OVERALL = ('CP', 'CR', 'CF1', 'OP', 'OR', 'OF1')


def open_page(page, path, threshold=None):
    """Open a report without network, and wait for the drawings that are near."""
    page.context.set_offline(True)
    requests = []
    page.on('request', lambda request: requests.append(request.url))
    page.goto(path.resolve().as_uri())
    wait_until(page, 'window.Plotly !== undefined')
    assert [url for url in requests if not url.startswith(('file:', 'data:'))] == []
    if threshold is not None:
        move_slider(page, threshold)
    return page


def wait_until(page, expression: str) -> None:
    """Playwright's own wait evaluates text inside the page, which the page's policy forbids."""
    for _ in range(200):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f'never came true: {expression}')


def move_slider(page, threshold: float) -> None:
    page.locator('#thr').fill(str(round(100 * threshold)))
    wait_until(page, f"document.querySelector('output').textContent === '{threshold:.2f}'")


def column(page, name: str) -> list[str]:
    """The cells of one column of the table of classes, from the top."""
    titles = [
        text.split(' ↓')[0].split(' ↑')[0]
        for text in page.locator('#classes thead th').all_inner_texts()
    ]
    place = titles.index(name) + 1
    return page.locator(f'#classes tbody tr > :nth-child({place})').all_inner_texts()


def overall(page, row: int = 0) -> dict[str, float]:
    cells = page.locator('#headline tbody tr').nth(row)
    return {name: float(cells.locator(f'[data-name="{name}"]').inner_text()) for name in OVERALL}


def scroll_to_all_charts(page) -> None:
    for name in ('curve', 'sizes', 'heatmap'):
        if page.locator(f'#{name}').is_visible():
            page.locator(f'#{name}').scroll_into_view_if_needed()
            page.wait_for_selector(f'#{name}[data-drawn] svg')


@pytest.fixture
def tied(tmp_path):
    """A run whose scores are multiples of 0.05, and one class without positives."""
    scores, targets = random_run(300, 8, steps=20)
    targets[:, 5] = 0
    classes = ['person', 'dog', 'cat', 'car', 'bus', 'unicorn', 'Äpfel', '猫']
    config = write_classes_config(tmp_path / 'tied.py', classes)
    return config, classes, scores, targets


@pytest.mark.parametrize('threshold', [0.0, 0.35, 0.5, 0.55, 0.7, 1.0])
def test_slider_agrees_with_the_metric(page, tied, tmp_path, threshold):
    config, classes, scores, targets = tied
    dump = write_dump(tmp_path / 'a.pkl', scores, targets)
    assert (scores == np.float32(threshold)).any()  # ties with the threshold
    open_page(page, write_report(config, dump, tmp_path, thumbnails=0), threshold)
    expected = precision_recall_at_threshold(scores, targets, threshold)
    # The page shows two decimals of a percentage.
    assert overall(page) == pytest.approx({k: 100 * v for k, v in expected.items()}, abs=0.0051)
    lead = float(page.locator('#headline .lead').inner_text())
    assert lead == pytest.approx(MultiLabelMAP().compute(scores, targets)['mAP'], abs=0.0051)
    columns = [column(page, name) for name in ('Class', 'Positives', 'P', 'R', 'F1')]
    for name, positives, *shown in zip(*columns, strict=True):
        label = classes.index(name)
        assert int(positives) == (targets[:, label] == 1).sum()
        if name == 'unicorn':
            assert shown[1:] == ['–', '–']
            continue
        one = slice(label, label + 1)
        numbers = precision_recall_at_threshold(scores[:, one], targets[:, one], threshold)
        reported = (scores[:, one] >= np.float32(threshold)).any()
        wanted = [numbers['OP'] if reported else None, numbers['OR'], numbers['OF1']]
        for text, value in zip(shown, wanted, strict=True):
            near = None if value is None else pytest.approx(100 * value, abs=0.0051)
            assert (None if text == '–' else float(text)) == near
    assert page.errors == []


def test_unknown_labels_have_columns_if_there_are_any(page, tied, tmp_path):
    config, classes, scores, targets = tied
    open_page(page, write_report(config, write_dump(tmp_path / 'a.pkl', scores, targets), tmp_path))
    assert 'Unknown' not in page.locator('#classes thead').inner_text()
    targets[::3, 1] = -1
    targets[:, 2] = np.where(targets[:, 2] == 1, 1, -1)
    open_page(page, write_report(config, write_dump(tmp_path / 'a.pkl', scores, targets), tmp_path))
    columns = [column(page, name) for name in ('Class', 'Positives', 'Negatives', 'Unknown')]
    assert {name: [int(c) for c in counts] for name, *counts in zip(*columns, strict=True)} == {
        name: [(targets[:, label] == value).sum() for value in (1, 0, -1)]
        for label, name in enumerate(classes)
    }
    assert dict(zip(columns[0], column(page, 'AP'), strict=True))['cat'] == '–'
    assert '1 have no negative image' in page.locator('#skipped').inner_text()
    assert page.errors == []


def test_keyboard_table_and_filter(page, tied, tmp_path):
    config, classes, scores, targets = tied
    dump = write_dump(tmp_path / 'a.pkl', scores, targets, areas=500.0)
    open_page(page, write_report(config, dump, tmp_path, thumbnails=0))
    before, ap = overall(page), column(page, 'AP')
    page.locator('#thr').focus()
    for _ in range(10):
        page.keyboard.press('ArrowRight')
    wait_until(page, "document.querySelector('output').textContent === '0.60'")
    assert overall(page)['OR'] < before['OR'] and column(page, 'AP') == ap

    def order(name):
        page.locator(f'#classes button[data-key="{name}"]').click()
        cell = page.locator(f'#classes th:has(button[data-key="{name}"])')
        return cell.get_attribute('aria-sort'), column(page, name)

    assert column(page, 'AP')[-1] == '–'  # sorted by AP from the start, what has none last
    direction, cells = order('Positives')
    assert direction == 'descending'
    assert [int(c) for c in cells] == sorted((targets == 1).sum(axis=0).tolist(), reverse=True)
    direction, cells = order('Positives')
    assert direction == 'ascending'
    assert [int(c) for c in cells] == sorted((targets == 1).sum(axis=0).tolist())
    direction, cells = order('Class')
    assert direction == 'ascending' and set(cells) == set(classes)
    assert cells.index('bus') < cells.index('car') < cells.index('dog')
    page.locator('#classes button[data-key="F1"]').focus()
    page.keyboard.press('Enter')
    cells = [float(cell) for cell in column(page, 'F1') if cell != '–']
    assert cells == sorted(cells, reverse=True)
    assert page.evaluate('document.activeElement.dataset.key') == 'F1'
    page.locator('#filter').fill('CA')
    assert sorted(column(page, 'Class')) == ['car', 'cat']
    assert page.locator('#shown').inner_text() == '2 of 8 classes'
    page.locator('#filter').fill('')

    # the class that is chosen is drawn
    page.get_by_role('button', name='bus').click()
    assert page.locator('#class').input_value() == str(classes.index('bus'))
    page.wait_for_selector('#histogram[data-drawn]')
    wait_until(page, "document.querySelector('#histogram').layout.xaxis.title.text.includes('bus')")
    scroll_to_all_charts(page)
    bars = page.evaluate("document.querySelector('#histogram').data.map((t) => t.customdata)")
    assert [sum(counts) for counts in bars] == [(targets[:, 4] == t).sum() for t in (0, 1)]
    assert page.errors == []


def test_two_runs_side_by_side(page, tied, tmp_path):
    config, classes, scores, targets = tied
    other_scores = np.clip(scores * np.float32(0.8), 0, 1)
    other_scores[:50] = scores[:50]
    one = write_dump(tmp_path / 'a.pkl', scores, targets, raw=scores**2)
    other = write_dump(tmp_path / 'b.pkl', other_scores, targets)
    path = write_report(config, one, tmp_path, compare=other, thumbnails=0)
    open_page(page, path, 0.5)
    for row, run in enumerate((scores, scores**2, other_scores)):
        expected = precision_recall_at_threshold(run, targets, 0.5)
        wanted = {name: 100 * value for name, value in expected.items()}
        assert overall(page, row) == pytest.approx(wanted, abs=0.0051)
    assert page.locator('#headline tbody th').all_inner_texts() == ['A: EMA', 'A: raw', 'B: tested']
    assert 'A: EMA minus B: tested' in page.locator('#delta-hint').inner_text()
    recalls = dict(zip(column(page, 'Class'), column(page, 'Δ R'), strict=True))
    for label, name in enumerate(classes):
        if name == 'unicorn':
            assert recalls[name] == '–'
            continue
        positive = targets[:, label] == 1
        ours, theirs = ((run[positive, label] >= 0.5).mean() for run in (scores, other_scores))
        change = ours - theirs
        assert float(recalls[name].replace('−', '-')) == pytest.approx(100 * change, abs=0.0051)
    scroll_to_all_charts(page)
    names = page.evaluate("document.querySelector('#curve').data.map((t) => t.name)")
    assert sum('B: tested' in (name or '') for name in names) == 2
    page.locator('#beside').select_option(label='nothing')
    assert page.locator('#classes thead th').count() == 6
    assert page.errors == []


def test_hostile_names_are_only_text(page, tmp_path):
    names = [
        '</script><script>window.hacked = 1</script>',
        '<img src=x onerror="window.hacked = 1">',
        '"><svg onload="window.hacked = 1">',
        '%{x} <a href="javascript:window.hacked = 1">\'ü</a>',
    ]
    scores, targets = random_run(300, 4)
    images = [str(tmp_path / f'{i} <img src=x onerror=hacked=1>.jpg') for i in range(300)]
    for image in images:
        Image.new('RGB', (64, 48), 'teal').save(image)
    config = write_classes_config(tmp_path / 'hostile.py', names, str(tmp_path))
    dump = write_dump(tmp_path / 'a.pkl', scores, targets, images=images, areas=2000.0)
    open_page(page, write_report(config, dump, tmp_path / 'out', thumbnails=4))
    scroll_to_all_charts(page)
    assert set(column(page, 'Class')) == set(names)
    page.locator('#classes tbody button').first.click()
    page.locator('#heatmap .nsewdrag').hover()
    page.wait_for_selector('#heatmap .hoverlayer text')
    assert page.evaluate('window.hacked') is None
    assert page.locator('main a').count() == 0
    assert page.locator('.card img').count() == 8
    assert page.errors == []


@pytest.mark.parametrize(('images', 'classes'), [(5000, 80), (1000, 3000)])
def test_many_images_and_classes(page, tmp_path, images, classes):
    scores, targets = random_run(images, classes)
    config = write_classes_config(tmp_path / 'big.py', [f'class {i}' for i in range(classes)])
    dump = write_dump(tmp_path / 'a.pkl', scores, targets, raw=scores**2, areas=2000.0)
    path = write_report(config, dump, tmp_path / 'out', thumbnails=0)
    open_page(page, path)
    assert path.stat().st_size < 15e6
    assert page.locator('#classes tbody tr').count() == min(classes, 250)
    if classes > 250:
        assert 'the first 250 in this order are shown' in page.locator('#shown').inner_text()
    move_slider(page, 0.3)
    expected = precision_recall_at_threshold(scores, targets, 0.3)
    assert overall(page) == pytest.approx({k: 100 * v for k, v in expected.items()}, abs=0.0051)
    scroll_to_all_charts(page)
    assert page.errors == []


def test_narrow_and_dark(page, tied, tmp_path):
    config, _, scores, targets = tied
    dump = write_dump(tmp_path / 'a.pkl', scores, targets, raw=scores**2, areas=500.0)
    page.set_viewport_size(dict(width=400, height=800))
    page.emulate_media(color_scheme='dark')
    open_page(page, write_report(config, dump, tmp_path, thumbnails=0))
    scroll_to_all_charts(page)
    assert page.evaluate('document.documentElement.scrollWidth') <= 400
    page.locator('#curve').scroll_into_view_if_needed()  # what is far is drawn when it comes near
    ink = "document.querySelector('#curve').layout.font.color"
    dark = page.evaluate(ink)
    page.emulate_media(color_scheme='light')
    wait_until(page, f"{ink} !== '{dark}'")
    assert page.errors == []
