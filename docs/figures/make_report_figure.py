"""Photograph the head of a report: python docs/figures/make_report_figure.py report/index.html."""

import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

out = Path(__file__).with_name('report.png')
with sync_playwright() as playwright:
    executable = shutil.which('chromium') or shutil.which('chromium-browser')
    browser = playwright.chromium.launch(executable_path=executable, args=['--no-sandbox'])
    page = browser.new_page(viewport=dict(width=1100, height=1750))
    page.goto(Path(sys.argv[1]).resolve().as_uri())
    page.wait_for_selector('#histogram[data-drawn] svg')
    page.screenshot(path=out)
    browser.close()
# 128 colours are enough for a page, and a third of the bytes.
Image.open(out).convert('RGB').quantize(128).save(out, optimize=True)
