from pathlib import Path

import pytest
from finished_tests import write_test
from tiny_run import load_main, refusal

from mmpretrain_mldecoder.analysis.model_table import ModelCost, TableRow

CONFIG = 'configs/mldecoder/r50vd_coco.py'
main = load_main('model_table')


@pytest.fixture(autouse=True)
def cost(monkeypatch):
    """Counting takes a quarter of a minute; tests/test_docs/test_readme.py compares the numbers."""
    monkeypatch.setattr(TableRow, 'cost', ModelCost(1_234_567, 2_345_678_901))


@pytest.fixture
def results(tmp_path) -> Path:
    """A test of the full split, one of seven images, and a damaged file."""
    folder = tmp_path / 'work_dirs'
    write_test(folder / 'a' / 'test_1.json', 'mldecoder_r50vd_coco', {'coco/mAP': 71.23})
    tiny = dict(images=7, date='2026-04-01T12:00:00+00:00')
    write_test(folder / 'b' / 'test_1.json', 'mldecoder_r50vd_coco', {'coco/mAP': 99.99}, **tiny)
    (folder / 'test_0.json').write_text('{"half')
    return folder


@pytest.mark.parametrize('where', ['by option', 'by default'])
def test_prints_what_was_measured(results, where, capsys, monkeypatch):
    monkeypatch.chdir(results.parent)
    main(['--results', str(results)] if where == 'by option' else [])
    printed, notes = capsys.readouterr()
    assert printed.startswith('### Backbones on ImageNet-1k\n\n| model |')
    assert printed.count('\n### ') == 3
    (line,) = (line for line in printed.splitlines() if '2026-03-01' in line)
    assert (
        f'({CONFIG})' in line
        and '| 1.235 | 2.346 |' in line
        and line.endswith('| - | 71.23 (EMA, 2026-03-01) |')
    )
    assert '99.99' not in printed
    assert '7 images were tested, not the full split: COCO 2017 has 5,000' in notes
    assert 'test_0.json is not the result of a test' in notes


def test_without_results(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    main(['--lang', 'zh'])
    printed, notes = capsys.readouterr()
    assert '### COCO 2017，其他配方' in printed
    assert '2026-' not in printed and 'left out' not in notes


def test_updates_pages(results, tmp_path, capsys):
    pages = [tmp_path / 'en.md', tmp_path / 'zh.md']
    for page in pages:
        language = page.stem
        page.write_text(
            f'# A\n<!-- model_table: begin coco {language} -->\n<!-- model_table: end -->\nend\n'
        )
    main(['--results', str(results), '--update', *map(str, pages)])
    assert capsys.readouterr().out == ''
    assert '71.23 (EMA, 2026-03-01)' in pages[0].read_text()
    assert '71.23（EMA，2026-03-01）' in pages[1].read_text()
    assert all(page.read_text().endswith('<!-- model_table: end -->\nend\n') for page in pages)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith('.')]


def test_errors_are_short(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path('plain.md').write_text('plain')
    assert 'no folder at absent' in refusal(capsys, main, ['--results', 'absent'])
    assert 'absent.md: ' in refusal(capsys, main, ['--update', 'absent.md'])
    message = 'plain.md: it has no line <!-- model_table: begin'
    assert message in refusal(capsys, main, ['--update', 'plain.md'])
    assert Path('plain.md').read_text() == 'plain'
