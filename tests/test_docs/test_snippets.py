"""The Python blocks of the pages run, on small data laid out as the pages say."""

import runpy
from pathlib import Path

import pytest
import torch
from classifiers import build_without_weights
from fake_coco import write_coco
from markdown_pages import PAGES, ROOT, CodeBlock, code_blocks
from mmengine.config import Config
from mmpretrain.registry import DATASETS, MODELS
from tiny_run import load_tool, write_tiny_config

import mmpretrain_mldecoder  # noqa: F401  (registers everything)
from mmpretrain_mldecoder.engine.checks.build import check_parts, check_type_names
from mmpretrain_mldecoder.engine.checks.idle_settings import idle_settings

SNIPPETS = [
    pytest.param(block, id=f'{page}:{i}')
    for page in PAGES
    if page != 'README_zh-CN.md'  # the same code as in README.md, see test_readme.py
    for i, block in enumerate(code_blocks(page))
    if block.test
]


@pytest.fixture(scope='module')
def workspace(tmp_path_factory) -> Path:
    """A folder with what a reader of the pages would have by then."""
    folder = tmp_path_factory.mktemp('workspace')
    for name in ('configs', 'tools', 'model-index.yml'):
        (folder / name).symlink_to(ROOT / name)
    coco = write_coco(folder / 'data/COCO2017', dict(train=12, val=7))
    (folder / 'images').symlink_to(coco / 'val2017')

    pets = write_coco(folder / 'pets', dict(train=12, val=7), classes=('cat', 'dog', 'rabbit'))
    (folder / 'data/pets').mkdir()
    for split in ('train', 'val'):
        (pets / f'{split}2017').rename(folder / 'data/pets' / split)
        annotations = pets / f'annotations/instances_{split}2017.json'
        annotations.rename(folder / f'data/pets/{split}.json')
    (folder / 'labels.csv').write_text(
        'file_name,labels\n000000000000.jpg,cat dog\n000000000001.jpg,\n'
    )

    trained = folder / 'work_dirs/r50vd_ssld_coco'
    save_untrained(folder / 'configs/mldecoder/r50vd_ssld_coco.py', trained)
    (trained / '20260101_120000/vis_data').mkdir(parents=True)
    (trained / '20260101_120000/vis_data/scalars.json').write_text(
        '{"loss": 90.0, "lr": 4e-06, "step": 100}\n'
        '{"coco/mAP": 5.0, "coco/mAP_raw": 4.0, "step": 1}\n'
    )
    return folder


def save_untrained(config: Path, work_dir: Path) -> None:
    cfg = Config.fromfile(config)
    cfg.model.backbone.init_cfg = None
    model = MODELS.build(cfg.model)
    classes = [f'class {i}' for i in range(model.head.num_classes)]
    work_dir.mkdir(parents=True)
    torch.save(
        dict(state_dict=model.state_dict(), meta=dict(dataset_meta=dict(classes=classes))),
        work_dir / 'best_coco_mAP_epoch_40.pth',
    )


@pytest.fixture(scope='module')
def printed_map(workspace) -> float:
    """Test a tiny model with ``--out predictions.pkl``; the mAP that the tool prints."""
    config = write_tiny_config(workspace)
    save_untrained(config, workspace / 'work_dirs/tiny')
    checkpoint = workspace / 'work_dirs/tiny/best_coco_mAP_epoch_40.pth'
    options = ['--out', workspace / 'predictions.pkl', '--work-dir', workspace / 'work_dirs/test']
    return load_tool('test')(config, checkpoint, *options)['coco/mAP']


@pytest.mark.parametrize('block', SNIPPETS)
def test_snippet(block: CodeBlock, workspace, monkeypatch, capsys, request):
    monkeypatch.chdir(workspace)
    kind, _, argument = block.test.partition(' ')
    assert kind in ('run', 'config')
    if argument == 'mAP':
        expected = request.getfixturevalue('printed_map')
    path = workspace / (argument if kind == 'config' else 'snippet.py')
    path.write_text(block.code)
    if kind == 'config':
        check_config(path)
        return
    names = runpy.run_path(str(path))
    if argument == 'mAP':
        assert float(capsys.readouterr().out.splitlines()[-1]) == pytest.approx(expected, abs=1e-4)
    elif argument == 'backbones':
        pytest.importorskip('timm')
        for backbone, in_channels in names['backbones']:
            check_model(
                backbone, dict(type='MLDecoderHead', num_classes=80, in_channels=in_channels)
            )
    elif argument == 'head':
        check_model(dict(type='ResNet', depth=50), names['head'])


def check_config(path: Path) -> None:
    """A config builds its model, and its datasets where their data is."""
    cfg = Config.fromfile(path)
    check_type_names(cfg)
    assert not idle_settings(cfg)
    if 'train_dataloader' in cfg:  # a whole config, not an excerpt
        check_parts(cfg)
        assert cfg.train_cfg and cfg.val_cfg is not None
    check_model(cfg.model.backbone, cfg.model.head)
    for name in ('train_dataloader', 'val_dataloader'):
        dataset = cfg.get(name, {}).get('dataset')
        if dataset is not None and Path(dataset.data_root).is_dir():
            built = DATASETS.build(dataset)
            built[1]
            if cfg.model.head.num_classes != 80:  # the small COCO has 4 classes
                assert len(built.metainfo['classes']) == cfg.model.head.num_classes


def check_model(backbone: dict, head: dict) -> None:
    model = build_without_weights(dict(type='ImageClassifier', backbone=backbone, head=head))
    logits = model(torch.empty(1, 3, 224, 224, device='meta'))
    assert logits.shape == (1, head['num_classes'])
