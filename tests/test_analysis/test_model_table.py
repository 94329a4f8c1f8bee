import re
from functools import partial
from pathlib import Path

import pytest
from finished_tests import ROOT, rows, write_test
from mmengine.config import Config
from mmpretrain.registry import MODELS
from torch import nn

import mmpretrain_mldecoder  # noqa: F401  (registers everything)
from mmpretrain_mldecoder.analysis.model_table import (
    ModelCost,
    image_side,
    markdown_table,
    model_cost,
    newest_results,
    replace_tables,
)


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


OPENIMAGES = 'configs/mldecoder/tresnet_m_openimages-200groups.py'


def find(folder: Path) -> tuple[dict, list[str]]:
    notes = []
    return newest_results(rows(), folder, notes.append), notes


def test_newest_counts_whatever_its_number(tmp_path):
    """Dates are compared as moments: the last one here is the earliest."""
    name = 'mldecoder_r50_coco'
    for i, (mean, date) in enumerate(
        [
            (79.0, '2026-03-01T12:00:00+00:00'),
            (78.0, '2026-03-01T13:00:00+00:00'),
            (80.0, '2026-03-01T13:30:00+02:00'),
        ]
    ):
        write_test(tmp_path / f'{i}/deep/test_{i}.json', name, {'coco/mAP': mean}, date=date)
    found, notes = find(tmp_path)
    assert found[name].metrics == {'coco/mAP': 78.0}
    assert (list(found), notes) == ([name], [])


def test_config_is_known_by_folder_and_name(tmp_path):
    for i, folder in enumerate(('/elsewhere/configs/linear', '../configs/mldecoder')):
        name = f'{Path(folder).name}_r50_coco'
        write_test(
            tmp_path / f'test_{i}.json', name, {'coco/mAP': 70.0}, config=f'{folder}/r50_coco.py'
        )
    assert sorted(find(tmp_path)[0]) == ['linear_r50_coco', 'mldecoder_r50_coco']


@pytest.mark.parametrize(
    ('changes', 'reason'),
    [
        (dict(images=7), '7 images were tested, not the full split: COCO 2017 has 5,000'),
        (dict(settings='0' * 16), 'model, preprocessing or metric are not those of the config'),
        (dict(tta=True), 'it is with test-time augmentation'),
        (dict(config='configs/mldecoder/mine.py'), 'its config is that of no row'),
        (dict(config='configs/linear/r50_coco.py'), 'are not those of the config'),
        (dict(metrics={'coco/mAP': None}), 'it has no mAP'),
        (dict(date='yesterday'), 'is not the result of a test'),
        (dict(config=OPENIMAGES), 'that of OpenImages, 9,605 classes is not known'),
    ],
)
def test_others_are_left_out_with_a_note(tmp_path, changes, reason):
    write_test(
        tmp_path / 'test_1.json', 'mldecoder_r50_coco', **dict(metrics={'coco/mAP': 99.0}) | changes
    )
    found, (note,) = find(tmp_path)
    assert found == {}
    assert str(tmp_path / 'test_1.json') in note and reason in note


@MODELS.register_module(force=True)
class ToyNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=2, bias=False)  # 8 px: 3 x 3 positions
        self.frozen = nn.Conv2d(4, 5, 1).requires_grad_(False)
        self.linear = nn.Linear(5, 6)

    def forward(self, x):
        return (self.linear(self.frozen(self.conv(x)).mean((2, 3))),)


def test_counts_by_formula():
    """A multiply-add is 2, biases cost nothing, and frozen parameters are not learnable."""
    cfg = Config(dict(model=dict(type='ImageClassifier', backbone=dict(type='ToyNet'))))
    cost = model_cost(cfg, 8)
    assert cost.parameters == 3 * 4 * 9 + 5 * 6 + 6
    assert cost.flops == 2 * (9 * 3 * 4 * 9 + 9 * 4 * 5 + 5 * 6)
    assert cfg.model.backbone == dict(type='ToyNet')


def test_resnet50_is_torchvisions():
    """25,557,032 parameters and 4.09 G multiply-adds, as torchvision's documentation says."""
    backbone = dict(type='ResNet', depth=50, init_cfg=dict(type='Pretrained', checkpoint='absent'))
    model = dict(
        type='ImageClassifier',
        backbone=backbone,
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', num_classes=1000, in_channels=2048),
        train_cfg=dict(augments=dict(type='Mixup', alpha=0.2)),
    )
    cost = model_cost(Config(dict(model=model)), 224)
    assert cost.parameters == 25_557_032
    assert cost.flops / 2 / 1e9 == pytest.approx(4.09, abs=0.005)


def pipeline(*steps: dict) -> Config:
    return Config(dict(test_dataloader=dict(dataset=dict(pipeline=steps))))


def test_side_of_the_images():
    load = dict(type='LoadImageFromFile')
    assert image_side(pipeline(load, dict(type='SquareResize', scale=448))) == 448
    edge = dict(type='ResizeEdge', scale=256)
    assert image_side(pipeline(load, edge, dict(type='CenterCrop', crop_size=224))) == 224
    with pytest.raises(ValueError, match='no SquareResize and no CenterCrop'):
        image_side(pipeline(load))
