"""The results tables say what the configs give, and both READMEs say the same."""

import json
import re
from functools import lru_cache

import pytest
import torch
from markdown_pages import ROOT, code_blocks, tables, without_code
from mmengine.config import Config
from mmpretrain.registry import MODELS
from torch.utils.flop_counter import FlopCounterMode

READMES = ('README.md', 'README_zh-CN.md')
MODEL_PAGE = 'configs/mldecoder/README.md'
ENGLISH = {'参数量 (M)': 'params (M)', '输入': 'input', '测试输入': 'input', 'test input': 'input'}


def result_rows(page: str) -> list[tuple[str, dict]]:
    """Return config and cells, by the English name of their column, of rows with parameters."""
    found = []
    for header, *lines in tables(page):
        names = [ENGLISH.get(name, name) for name in header]
        if 'params (M)' not in names:
            continue
        for line in lines:
            link = re.search(r'\(([^)]+\.py)\)', ' '.join(line))[1]
            config = (ROOT / page).parent.joinpath(link).resolve().relative_to(ROOT)
            found.append((str(config), dict(zip(names, line, strict=True))))
    return found


def picture_side(cfg: Config) -> int:
    """Side of the pictures at test; those of the demo have 96 px and are not resized."""
    steps = {step['type']: step for step in cfg.test_dataloader.dataset.pipeline}
    if 'SquareResize' in steps:
        return steps['SquareResize']['scale']
    return steps['CenterCrop']['crop_size'] if 'CenterCrop' in steps else 96


@lru_cache
def cost(model_config: str, side: int) -> tuple[str, str]:
    """Millions of learnable parameters and GFLOPs of one picture, as the tables print them."""
    model = MODELS.build(json.loads(model_config)).eval().to('meta')  # shapes are enough
    params = sum(p.numel() for p in model.parameters() if p.requires_grad)
    with FlopCounterMode(display=False) as counter:
        model(torch.empty(1, 3, side, side, device='meta'))
    return f'{params / 1e6:.3f}', f'{counter.get_total_flops() / 1e9:.3f}'


@pytest.mark.parametrize('page', [*READMES, MODEL_PAGE])
def test_params_and_flops_are_those_of_the_configs(page):
    for config, cells in result_rows(page):
        cfg = Config.fromfile(ROOT / config)
        cfg.model.backbone.pop('init_cfg', None)
        cfg.model.pop('train_cfg', None)  # mixup has no share in the cost
        side = picture_side(cfg)
        params, flops = cost(json.dumps(cfg.model.to_dict(), sort_keys=True), side)
        assert (cells['params (M)'], cells['FLOPs (G)']) == (params, flops), f'{page}: {config}'
        assert cells.get('input', str(side)) == str(side), f'{page}: {config}'


@pytest.mark.parametrize('page', [*READMES, MODEL_PAGE])
def test_every_config_has_one_row(page):
    folders = ('mldecoder', 'linear', 'imagenet') + (('demo',) if page in READMES else ())
    expected = [
        f'configs/{folder}/{path.name}'
        for folder in folders
        for path in (ROOT / 'configs' / folder).glob('*.py')
    ]
    assert sorted(config for config, _ in result_rows(page)) == sorted(expected)


# What the design says is published; nothing else may be printed as such.
PUBLISHED = {
    'configs/imagenet/r50_in1k.py': '0.765',
    'configs/imagenet/r50_timm_in1k.py': '0.804',
    'configs/imagenet/r50vd_in1k.py': '0.791',
    'configs/imagenet/r50vd_ssld_in1k.py': '0.830',
    'configs/imagenet/r50vd_fix_ssld_in1k.py': '0.840',
    'configs/mldecoder/r50_coco.py': '78.4',
    'configs/mldecoder/r50_coco-448px.py': '83.50',
    'configs/mldecoder/r101_coco-448px.py': '91.40',
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
