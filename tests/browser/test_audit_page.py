"""The page of an audit in a real browser that has no network: from a decision to a label file."""

import json

import pytest
from flipped_labels import MISSING, SPURIOUS, start_run
from tiny_run import load_main

pytest.importorskip('cleanlab')
pytest.importorskip('iterstrat')


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    run = start_run(tmp_path_factory.mktemp('audit'))
    load_main('audit')([str(run)])
    return run


@pytest.fixture
def audit(page, run):
    page.context.set_offline(True)
    requests = []
    page.on('request', lambda request: requests.append(request.url))
    page.goto((run / 'audit/index.html').resolve().as_uri())
    yield page
    assert page.errors == []
    assert [url for url in requests if not url.startswith(('file:', 'data:', 'blob:'))] == []


def shown(page) -> list[str]:
    # not the inner texts: a card outside the window is not laid out, and has none
    return page.locator('.card .file').all_text_contents()


def progress(page) -> int:
    return int(page.locator('#progress').inner_text().split()[0])


def test_decisions_become_a_label_file(audit, run, tmp_path):
    total = audit.locator('.card').count()
    assert shown(audit)[:2] == [MISSING, SPURIOUS]
    first = audit.locator('.card').first
    assert first.locator('.said').inner_text().startswith('Add red?')
    assert first.locator('.truth').inner_text() == 'labels: seen'
    assert first.locator('img').evaluate('image => image.decode().then(() => image.naturalWidth)')

    first.get_by_role('button', name='Accept').click()
    # the next one has taken its place, and the keyboard
    assert shown(audit)[0] == SPURIOUS
    audit.keyboard.press('r')
    assert (progress(audit), audit.locator('.card').count()) == (2, total - 2)

    audit.reload()  # the browser keeps them
    assert (progress(audit), audit.locator('.card').count()) == (2, total - 2)
    with audit.expect_download() as download:
        audit.get_by_role('button', name='Download').click()
    file = tmp_path / download.value.suggested_filename
    download.value.save_as(file)
    assert json.loads(file.read_text())['decisions'] == [
        {'image': MISSING, 'class': 'red', 'suspicion': 'missing', 'accepted': True},
        {'image': SPURIOUS, 'class': 'red', 'suspicion': 'spurious', 'accepted': False},
    ]
    load_main('audit')([str(run), '--apply', str(file)])
    before = (run.parent / 'data/labels.csv').read_text()
    after = (run / 'audit/corrected/labels.csv').read_text()
    assert after == before.replace(f'{MISSING},seen', f'{MISSING},seen|red')


def test_a_class_at_once_and_back(audit):
    total = audit.locator('.card').count()
    audit.locator('#kind').select_option('spurious')
    number = audit.locator('.card').count()
    assert 0 < number < total
    audit.locator('#accept-all').click()
    assert (progress(audit), audit.locator('.card').count()) == (number, 0)
    audit.locator('#open').uncheck()
    assert audit.locator('.card').count() == number
    pressed = audit.locator('.card [aria-pressed="true"]')
    assert {*pressed.all_text_contents()} == {'Accept'}
    audit.locator('#undo').click()
    assert (progress(audit), pressed.count()) == (0, 0)
    audit.locator('#kind').select_option('')

    audit.get_by_role('button', name='red', exact=True).click()
    assert audit.locator('#class option:checked').inner_text() == 'red'
    assert {MISSING, SPURIOUS} <= {*shown(audit)}


def test_keys_move_decide_and_undo(audit):
    names = shown(audit)
    audit.keyboard.press('ArrowRight')
    audit.keyboard.press('ArrowRight')
    audit.keyboard.press('a')
    assert shown(audit) == [names[0], *names[2:]]
    audit.keyboard.press('u')
    assert shown(audit) == names
