"""The results tables are the output of the tool, and both READMEs say the same."""

import re
from functools import partial

import pytest
from finished_tests import rows
from markdown_pages import ROOT, code_blocks, read, tables, without_code
from mmengine.config import Config

from mmpretrain_mldecoder.analysis.model_table import (
    markdown_table,
    model_cost,
    newest_results,
    replace_tables,
)

READMES = ('README.md', 'README_zh-CN.md')
MODEL_PAGE = 'configs/mldecoder/README.md'
# Where a measured number of the tables has to come from.
RESULTS = ROOT / 'docs/results'


def test_tables_are_the_output_of_the_tool():
    """If not: python tools/model_table.py --results docs/results --update PAGE.

    One test, as counting takes a quarter of a minute in each process.
    """
    notes = []
    results = newest_results(rows(), RESULTS, notes.append)
    for page in (*READMES, MODEL_PAGE):
        table = partial(markdown_table, rows=rows(), results=results, folder=(ROOT / page).parent)
        assert replace_tables(read(page), 'model_table', table) == read(page), page
    assert notes == []


def result_rows(page: str) -> list[tuple[str, dict]]:
    """Return config and cells of the rows of all tables with parameters."""
    found = []
    for header, *lines in tables(page):
        if not {'params (M)', '参数量 (M)'} & {*header}:
            continue
        for line in lines:
            link = re.search(r'\(([^)]+\.py)\)', ' '.join(line))[1]
            config = (ROOT / page).parent.joinpath(link).resolve().relative_to(ROOT)
            found.append((str(config), dict(zip(header, line, strict=True))))
    return found


@pytest.mark.parametrize('page', [*READMES, MODEL_PAGE])
def test_every_config_has_one_row(page):
    in_readme = page in READMES
    expected = [
        f'configs/{folder}/{path.name}'
        for folder in ('mldecoder', 'linear', 'demo' if in_readme else 'imagenet')
        for path in (ROOT / 'configs' / folder).glob('*.py')
        # The READMEs leave ImageNet, deviations and the authors' models to the model's page.
        if not (in_readme and re.search('-|tresnet', path.stem))
    ]
    assert sorted(config for config, _ in result_rows(page)) == sorted(expected)


def test_costs_of_the_demo():
    """The one table that is written by hand; its images have 96 px and are not resized."""
    for config, cells in result_rows('README.md'):
        if config.startswith('configs/demo/'):
            cost = model_cost(Config.fromfile(ROOT / config), 96)
            assert cells['params (M)'] == f'{cost.parameters / 1e6:.3f}'
            assert cells['FLOPs (G)'] == f'{cost.flops / 1e9:.3f}'


# What the design says is published, and the 86.8 of the authors' MODEL_ZOO.md; nothing else may be
# printed as such.
PUBLISHED = {
    'configs/imagenet/r50_in1k.py': '0.765',
    'configs/imagenet/r50_timm_in1k.py': '0.804',
    'configs/imagenet/r50vd_in1k.py': '0.791',
    'configs/imagenet/r50vd_ssld_in1k.py': '0.830',
    'configs/imagenet/r50vd_fix_ssld_in1k.py': '0.840',
    'configs/mldecoder/r50_coco.py': '78.4',
    'configs/mldecoder/r50_coco-448px.py': '83.50',
    'configs/mldecoder/r101_coco-448px.py': '91.40',
    'configs/mldecoder/lcnet_coco-448px.py': '77.96',
    'configs/mldecoder/hgnetv2_b0_coco-448px.py': '80.98',
    'configs/mldecoder/hgnetv2_b4_coco-448px.py': '87.96',
    'configs/mldecoder/hgnetv2_b6_coco-448px.py': '91.25',
    'configs/mldecoder/vit_b16_clip_coco-448px.py': '89.15',
    'configs/mldecoder/tresnet_m_coco2014.py': '84.2',
    'configs/mldecoder/tresnet_l_coco2014-448px.py': '90.1',
    'configs/mldecoder/tresnet_xl_coco2014-640px.py': '91.4',
    'configs/mldecoder/tresnet_m_openimages-200groups.py': '86.8',
}


@pytest.mark.parametrize('page', [*READMES, MODEL_PAGE])
def test_published_numbers_are_those_of_the_design(page):
    for config, cells in result_rows(page):
        for name, cell in cells.items():
            if name.startswith(('top-1', 'mAP')) and name.endswith(('published', '公布值')):
                assert re.split('[ （]', cell)[0] == PUBLISHED.get(config, '-'), config
        if config == 'configs/mldecoder/r101_coco-448px.py':
            assert any('unverified' in c or '未经验证' in c for c in cells.values())


def without_comments(code: str) -> str:
    return re.sub(r' *# .*', '', code)


def test_both_readmes_have_the_same_structure():
    english, chinese = READMES
    levels, their_levels = (re.findall(r'^#+ ', without_code(p), re.M) for p in READMES)
    assert levels == their_levels

    blocks, their_blocks = code_blocks(english), code_blocks(chinese)
    assert len(blocks) == len(their_blocks)
    for block, other in zip(blocks, their_blocks, strict=True):
        assert (block.test, block.language) == (other.test, other.language)
        assert without_comments(block.code) == without_comments(other.code)
        assert block.code.count('\n') == other.code.count('\n')

    for table, other in zip(tables(english), tables(chinese), strict=True):
        assert [len(row) for row in table] == [len(row) for row in other]
        for row, other_row in zip(table, other, strict=True):
            numbers = [re.findall(r'\d[\d.]*|^-$', cell) for cell in row]
            assert numbers == [re.findall(r'\d[\d.]*|^-$', cell) for cell in other_row]

    links, their_links = (sorted(re.findall(r'\]\(([^)]+)\)', without_code(p))) for p in READMES)
    assert [x for x in links if 'README' not in x] == [x for x in their_links if 'README' not in x]
