"""Rows of VOC 2007: three heads on six backbones, trained on a fake VOC."""

from pathlib import Path

import pytest
import torch
from classifiers import build_without_weights
from faulty_images import encoded, photo
from mmengine.config import Config
from test_rows_train import SMALL_HEAD, SMALL_RESNET, two_iterations

from mmpretrain_mldecoder.models.losses import DetachedAsymmetricLoss

CONFIGS = Path(__file__).parents[2] / 'configs' / 'voc2007'
SIDES = dict(r50=448, r50vd_ssld=448, r101=448, lite0=224, lite1=240, lite2=260)
HEADS = dict(linear='MultiLabelLinearClsHead', csra='CSRAClsHead', mldecoder='MLDecoderHead')
ROWS = [f'{head}_{backbone}' for head in HEADS for backbone in SIDES]


def test_all_rows_are_here():
    assert {path.stem for path in CONFIGS.glob('*.py')} == set(ROWS)


@pytest.mark.parametrize('row', ROWS)
def test_row_builds(row):
    path = CONFIGS / f'{row}.py'
    assert len(path.read_text().splitlines()) <= 25
    cfg = Config.fromfile(path)
    head, _, backbone = row.partition('_')
    side = SIDES[backbone]
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        assert loader.dataset.pipeline[1] == dict(type='SquareResize', scale=side)
    assert cfg.train_dataloader.dataset.split == 'trainval'
    assert cfg.test_dataloader.dataset.split == cfg.val_dataloader.dataset.split == 'test'
    checkpoint = cfg.model.backbone.init_cfg.checkpoint
    name = backbone.replace('lite', 'tf_efficientnet_lite').replace('r50vd', 'ResNet50_vd')
    assert name.replace('r50', 'ResNet50').replace('r101', 'ResNet101') in checkpoint
    model = build_without_weights(cfg.model)
    assert type(model.head).__name__ == HEADS[head]
    assert isinstance(model.head.loss_module, DetachedAsymmetricLoss)  # it leaves unknowns out
    assert model(torch.empty(2, 3, side, side, device='meta')).shape == (2, 20)


OBJECT = '<object><name>{}</name><difficult>{}</difficult></object>'


@pytest.fixture(scope='module')
def voc(tmp_path_factory) -> Path:
    """VOC 2007 of four images in each split; every second dog is difficult."""
    root = tmp_path_factory.mktemp('voc')
    for folder in ('Annotations', 'ImageSets/Main', 'JPEGImages'):
        (root / folder).mkdir(parents=True)
    for i in range(8):
        objects = OBJECT.format('dog', i % 2) + OBJECT.format('cat' if i % 4 else 'person', 0)
        (root / f'JPEGImages/{i:06}.jpg').write_bytes(encoded(photo(i)))
        (root / f'Annotations/{i:06}.xml').write_text(f'<annotation>{objects}</annotation>')
    for split, numbers in (('trainval', range(4)), ('test', range(4, 8))):
        names = '\n'.join(f'{i:06}' for i in numbers)
        (root / f'ImageSets/Main/{split}.txt').write_text(names)
    return root


@pytest.mark.parametrize(
    ('head', 'backbone'),
    [
        ('csra', 'r50vd_ssld'),
        ('mldecoder', 'lite0'),
    ],
)
def test_two_iterations_and_a_validation(head, backbone, voc, tmp_path):
    cfg = Config.fromfile(CONFIGS / f'{head}_{backbone}.py')
    cfg.merge_from_dict(SMALL_RESNET if backbone != 'lite0' else {})
    cfg.merge_from_dict(SMALL_HEAD if head == 'mldecoder' else {})
    for split in ('train', 'val', 'test'):
        cfg[f'{split}_dataloader'].dataset.data_root = str(voc)
    scalars = two_iterations(cfg, tmp_path)
    assert 0 < scalars['val/coco/mAP'] <= 100
