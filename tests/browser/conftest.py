"""A page in a real, headless Chromium; tests that want one skip where there is none."""

import shutil

import pytest

# No sandbox: inside a container Chromium has no right to make one. The rest keeps it from calling
# home, which would make console errors that are not the page's.
_ARGUMENTS = (
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
)


@pytest.fixture(scope='session')
def chromium():
    """A browser: the system's Chromium, else the one that playwright installed."""
    api = pytest.importorskip('playwright.sync_api', reason="pip install -e '.[browser]'")
    executable = shutil.which('chromium') or shutil.which('chromium-browser')
    with api.sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=executable, args=_ARGUMENTS)
        except api.Error as error:
            pytest.skip(f'no Chromium: playwright install chromium ({error})')
        yield browser
        browser.close()


@pytest.fixture
def page(chromium):
    """A fresh page, whose console errors and uncaught exceptions are in ``page.errors``."""
    context = chromium.new_context(viewport=dict(width=1280, height=900))
    page = context.new_page()
    page.errors = []
    page.on('console', lambda m: page.errors.append(m.text) if m.type == 'error' else None)
    page.on('pageerror', lambda error: page.errors.append(str(error)))
    yield page
    context.close()
