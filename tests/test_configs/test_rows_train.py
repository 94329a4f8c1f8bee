"""Rows of every kind train and validate on real COCO photos, by the numbers of their recipe."""

import math
from pathlib import Path

import pytest
from mmengine.config import Config

from mmpretrain_mldecoder.engine.launch import build_runner

CONFIGS = Path(__file__).parents[2] / 'configs'
ROWS = (
    'mldecoder/r50_coco.py',
    'mldecoder/r50_timm_coco-q10.py',
    'mldecoder/r50vd_fix_ssld_coco.py',
    'mldecoder/r50vd_coco-448px.py',
    'linear/r50vd_ssld_coco.py',
)


@pytest.mark.parametrize('row', ROWS)
def test_two_iterations_and_a_validation(row, shared_data, tmp_path):
    """Everything is the row's but the depth, the batch and the number of photos."""
    cfg = Config.fromfile(CONFIGS / row)
    options = {
        'work_dir': str(tmp_path),
        'model.backbone.depth': 18,
        'model.backbone.init_cfg': None,
        'model.head.in_channels': 512,
        'train_cfg.max_epochs': 1,
        'train_dataloader.batch_size': 2,
        'default_hooks.logger.interval': 1,
    }
    for split in ('train', 'val', 'test'):
        options[f'{split}_dataloader.num_workers'] = 0
        options[f'{split}_dataloader.dataset.data_root'] = str(shared_data / 'coco_tiny')
        options[f'{split}_dataloader.dataset.indices'] = 4
    cfg.merge_from_dict(options)

    runner = build_runner(cfg)
    runner.train()

    assert runner.iter == 2
    scalars = runner.message_hub.log_scalars
    assert math.isfinite(scalars['train/loss'].current())
    for name in ('coco/mAP', 'coco/mAP_raw'):
        assert 0 < scalars[f'val/{name}'].current() <= 100
    assert list(tmp_path.glob('best_coco_mAP_epoch_1.pth'))
