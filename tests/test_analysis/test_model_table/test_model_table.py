import re
from functools import partial

import pytest
from finished_tests import ROOT, rows, write_test

from mmpretrain_mldecoder.analysis.model_table.model_table import (
    markdown_table,
    replace_tables,
)
from mmpretrain_mldecoder.analysis.model_table.table_rows import ModelCost, newest_results


@pytest.fixture(autouse=True)
def cost(monkeypatch):
    """Counting takes seconds. Another test of the process may have counted already."""
    for row in rows():
        monkeypatch.setitem(vars(row), 'cost', ModelCost(1_234_567, 2_345_678_901))


def table(name: str, language: str = 'en', results: dict | None = None, folder=ROOT):
    """Return heading, cells by row and column, and the line below."""
    text = markdown_table(name, language, rows(), results or {}, folder)
    heading, lines, sources = text.strip().split('\n\n')
    header, _, *body = ([c.strip() for c in x.strip('|').split('|')] for x in lines.splitlines())
    return heading, [dict(zip(header, line, strict=True)) for line in body], sources


def test_cells():
    heading, lines, sources = table('variants')
    assert heading == '### COCO 2017, other recipes'
    cells = {line['config'].partition(']')[0][1:]: line for line in lines}
    assert cells['r50_timm_coco-q10']['head'] == 'ML-Decoder, 10 queries'
    assert cells['r50_coco-448px'] == {
        'model': 'ResNet50',
        'head': 'ML-Decoder',
        'config': '[r50_coco-448px](configs/mldecoder/r50_coco-448px.py)',
        'weights': '`paddlex://ResNet50_ML`',
        'recipe': 'AdamW, cosine, 40 epochs',
        'input': '448',
        'params (M)': '1.235',
        'FLOPs (G)': '2.346',
        'mAP, published': '83.50',
        'mAP, ours': '-',
    }
    assert cells['r101_coco-448px']['mAP, published'] == '91.40 (unverified)'
    assert re.search(r'published numbers: 83\.50: .*83\.42.*; 91\.40: PaddleClas', sources)
    _, lines, sources = table('zoo')
    assert [line['dataset'] for line in lines if 'coco' in line['config']] == ['COCO 2014'] * 3
    assert re.search(r'90\.1: arXiv:2111\.12933 .*90\.0', sources)


@pytest.mark.parametrize(
    ('language', 'weights', 'checkpoint', 'cell'),
    [
        ('en', 'ema', 'best.pth', '78.46 (EMA, 2026-03-01)'),
        ('en', 'raw', 'best.pth', '78.46 (raw, 2026-03-01)'),
        ('en', 'single', 'best.pth', '78.46 (one set of weights, 2026-03-01)'),
        ('en', 'single', 'miil://a', '78.46 (published weights, 2026-03-01)'),
        ('zh', 'ema', 'best.pth', '78.46（EMA，2026-03-01）'),
    ],
)
def test_measured_number_says_of_what(tmp_path, language, weights, checkpoint, cell):
    write_test(
        tmp_path / 'test_1.json',
        'mldecoder_r50_coco',
        {'coco/mAP': 78.456, 'coco/mAP_raw': 77.0},
        weights=weights,
        checkpoint=checkpoint,
    )
    results = newest_results(rows(), tmp_path, print)
    _, lines, _ = table('coco', language, results)
    column = list(lines[0])[-1]
    assert [line[column] for line in lines if line[column] != '-'] == [cell]


def test_top_1_has_three_digits(tmp_path):
    metrics = {'accuracy/top1': 76.5}  # a fraction where it is published
    write_test(tmp_path / 'test_1.json', 'imagenet_r50_in1k', metrics, images=50_000)
    _, lines, _ = table('imagenet', results=newest_results(rows(), tmp_path, print))
    assert lines[0]['top-1, ours'] == '0.765 (EMA, 2026-03-01)'


PAGE = 'before\n<!-- model_table: begin coco en -->\nold\n<!-- model_table: end -->\nafter\n'


def replaced(page: str) -> str:
    table = partial(markdown_table, rows=rows(), results={}, folder=ROOT / 'configs/mldecoder')
    return replace_tables(page, 'model_table', table)


def test_only_what_is_between_the_markers_changes():
    text = replaced(PAGE)
    assert text.startswith('before\n<!-- model_table: begin coco en -->\n### COCO 2017\n')
    assert text.endswith('.\n<!-- model_table: end -->\nafter\n')
    assert 'old' not in text
    assert '](r50_coco.py)' in text and '](../linear/r50_coco.py)' in text
    assert replaced(text) == text


@pytest.mark.parametrize(
    ('page', 'message'),
    [
        ('no table', 'it has no line <!-- model_table: begin NAME KIND -->'),
        (PAGE.replace('coco', 'voc'), "no table 'voc' in 'en': the tables are imagenet, coco"),
        (PAGE.replace(' en ', ' de '), "no table 'coco' in 'de'"),
        (PAGE.replace('model_table: end', ''), 'it has no line'),
    ],
)
def test_pages_without_tables(page, message):
    with pytest.raises(ValueError, match=message):
        replaced(page)
