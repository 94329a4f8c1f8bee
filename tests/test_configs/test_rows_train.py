"""Rows of every kind train, test and predict on real photos, by the numbers of their recipe."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmpretrain.registry import MODELS
from tiny_run import load_tool

from mmpretrain_mldecoder.apis import MultiLabelInferencer
from mmpretrain_mldecoder.engine.runners.launch import build_runner

CONFIGS = Path(__file__).parents[2] / 'configs'
ROWS = (
    'mldecoder/r50_coco.py',
    'mldecoder/r50_timm_coco-q10.py',
    'mldecoder/r50vd_coco-448px.py',
    'linear/r50vd_ssld_coco.py',
)
SMALL_RESNET = {
    'model.backbone.depth': 18,
    'model.backbone.stem_channels': 8,
    'model.backbone.base_channels': 8,
    'model.head.in_channels': 64,
}
SMALL_HEAD = {
    'model.head.embed_dims': 32,
    'model.head.num_heads': 2,
    'model.head.feedforward_channels': 32,
}
SMALL_TRESNET = {
    'model.backbone.layers': (1, 1, 1, 1),
    'model.backbone.width_factor': 0.25,
    'model.head.in_channels': 512,
}

# Smaller networks of the same kind, for images of 96 px.
FOUNDATION = {
    'convnext_t': dict(depths=(1, 1, 1, 1), dims=(8, 16, 24, 32)),
    'swin_t': dict(depths=(1, 1, 1, 1), embed_dim=16, num_heads=(1, 2, 4, 8), img_size=96),
    'vit_b16_openai': dict(depth=2, embed_dim=48, num_heads=3, img_size=96),
    'vit_s16_dinov3': dict(depth=2, embed_dim=48, num_heads=3),
}


def two_iterations(cfg: Config, work_dir: Path) -> dict:
    """Train on 4 small photos in batches of 2, validate, and return the last scalars."""
    options = {
        'work_dir': str(work_dir),
        'model.backbone.init_cfg': None,
        'train_cfg.max_epochs': 1,
        'train_dataloader.batch_size': 2,
        'default_hooks.logger.interval': 1,
    }
    for split in ('train', 'val', 'test'):
        options[f'{split}_dataloader.num_workers'] = 0
        options[f'{split}_dataloader.dataset.indices'] = 4
        for step in cfg[f'{split}_dataloader'].dataset.pipeline:
            if step['type'] == 'SquareResize':
                step['scale'] = 96
    cfg.merge_from_dict(options)
    runner = build_runner(cfg)
    runner.train()
    assert runner.iter == 2
    scalars = {name: log.current() for name, log in runner.message_hub.log_scalars.items()}
    assert math.isfinite(scalars['train/loss'])
    return scalars


@pytest.mark.parametrize('row', ROWS)
def test_two_iterations_and_a_validation(row, shared_data, tmp_path):
    """Everything is the row's but the size of the network, the batch, and the photos."""
    cfg = Config.fromfile(CONFIGS / row)
    cfg.merge_from_dict(SMALL_RESNET | (SMALL_HEAD if row.startswith('mldecoder') else {}))
    for split in ('train', 'val', 'test'):
        cfg[f'{split}_dataloader'].dataset.data_root = str(shared_data / 'coco_tiny')

    scalars = two_iterations(cfg, tmp_path)

    for name in ('coco/mAP', 'coco/mAP_raw'):
        assert 0 < scalars[f'val/{name}'] <= 100
    assert list(tmp_path.glob('best_coco_mAP_epoch_1.pth'))


@pytest.mark.parametrize('row', FOUNDATION)
def test_foundation_backbones_train(row, shared_data, tmp_path):
    cfg = Config.fromfile(CONFIGS / f'mldecoder/{row}_coco-448px.py')
    small = {f'model.backbone.{key}': value for key, value in FOUNDATION[row].items()}
    cfg.merge_from_dict(small | SMALL_HEAD)
    cfg.model.head.in_channels = 48 if row.startswith('vit') else 128 if row == 'swin_t' else 32
    for split in ('train', 'val', 'test'):
        cfg[f'{split}_dataloader'].dataset.data_root = str(shared_data / 'coco_tiny')

    assert 0 < two_iterations(cfg, tmp_path)['val/coco/mAP'] <= 100


@pytest.mark.parametrize(
    'row',  # each head, with a backbone that learns and a frozen one
    [
        'csra_lite2_frozen',
        'csra_r50vd_ssld',
        'linear_lite0_frozen',
        'mldecoder_lite0',
        'mldecoder_r50vd_ssld',
    ],
)
def test_rows_for_labels_of_ones_own_train(row, shared_data, tmp_path):
    cfg = Config.fromfile(CONFIGS / f'finetune/{row}.py')
    assert cfg.model.head.loss.clip == 0  # labels of one's own may be in most images
    cfg.merge_from_dict(SMALL_HEAD if row.startswith('mldecoder') else {})
    cfg.merge_from_dict(SMALL_RESNET if 'r50vd_ssld' in row else {})
    cfg.model.head.num_classes = 80
    for split, folder in (('train', 'train2017'), ('val', 'val2017'), ('test', 'val2017')):
        dataset = cfg[f'{split}_dataloader'].dataset
        dataset.data_root = str(shared_data / 'coco_tiny')
        assert dataset.ann_file == f'{split}.json'
        dataset.ann_file = f'annotations/instances_{folder}.json'
        dataset.data_prefix = folder

    assert 0 < two_iterations(cfg, tmp_path)['val/coco/mAP'] <= 100


def test_tresnet_trains(shared_data, tmp_path):
    """The folders are those of COCO 2014, with the photos of coco_tiny in them."""
    coco, root = shared_data / 'coco_tiny', tmp_path / 'COCO2014'
    (root / 'annotations').mkdir(parents=True)
    for split in ('train', 'val'):
        (root / f'{split}2014').symlink_to(coco / f'{split}2017')
        annotations = root / f'annotations/instances_{split}2014.json'
        annotations.symlink_to(coco / f'annotations/instances_{split}2017.json')
    cfg = Config.fromfile(CONFIGS / 'mldecoder/tresnet_m_coco2014.py')
    cfg.merge_from_dict(SMALL_TRESNET | SMALL_HEAD)
    for split in ('train', 'val', 'test'):
        cfg[f'{split}_dataloader'].dataset.data_root = str(root)

    assert 0 < two_iterations(cfg, tmp_path / 'work')['val/coco/mAP'] <= 100


def test_imagenet_trains(shared_data, tmp_path):
    """With label smoothing and mixup; 16 classes, one photo each."""
    cfg = Config.fromfile(CONFIGS / 'imagenet/r50vd_in1k.py')
    classes = [path.name for path in sorted((shared_data / 'imagenet_tiny/train').iterdir())]
    counts = {'model.head.num_classes': 16, 'data_preprocessor.num_classes': 16}
    cfg.merge_from_dict(SMALL_RESNET | counts)
    for split in ('train', 'val', 'test'):
        cfg[f'{split}_dataloader'].dataset.data_root = str(shared_data / 'imagenet_tiny')
        cfg[f'{split}_dataloader'].dataset.classes = classes

    scalars = two_iterations(cfg, tmp_path)

    assert {'val/accuracy/top1', 'val/accuracy/top5'} <= scalars.keys()


def test_imagenet_rows_give_top1_and_top5(shared_data, tmp_path):
    """A classifier that says 0, then 1, 2, ... to every photo; the list gives 4 of 16 a 0."""
    path = CONFIGS / 'imagenet/r50vd_ssld_in1k.py'
    cfg = Config.fromfile(path)
    cfg.merge_from_dict(SMALL_RESNET)
    state = MODELS.build(cfg.model).state_dict()
    state['head.fc.weight'].zero_()
    state['head.fc.bias'] = -torch.arange(1000.0)
    torch.save(dict(state_dict=state), tmp_path / 'sorted.pth')
    root = shared_data / 'imagenet_tiny'
    photos = sorted(photo.relative_to(root) for photo in root.glob('val/*/*'))
    labels = [0] * 4 + [4] * 4 + [5] * 8
    lines = [f'{photo} {label}' for photo, label in zip(photos, labels, strict=True)]
    (tmp_path / 'val_list.txt').write_text('\n'.join(lines))

    options = SMALL_RESNET | {
        'test_dataloader.num_workers': 0,
        'test_dataloader.persistent_workers': False,
        'test_dataloader.dataset.data_root': root,
        'test_dataloader.dataset.ann_file': tmp_path / 'val_list.txt',
        'test_dataloader.dataset.split': '',
    }
    words = [f'{key}={value}' for key, value in options.items()]
    checkpoint = tmp_path / 'sorted.pth'
    metrics = load_tool('test')(path, checkpoint, '--work-dir', tmp_path, '--cfg-options', *words)

    assert metrics['accuracy/top1'] == 25
    assert metrics['accuracy/top5'] == 50


def test_openimages_predicts_with_the_names_of_the_checkpoint(tmp_path):
    cfg = Config.fromfile(CONFIGS / 'mldecoder/tresnet_m_openimages-200groups.py')
    cfg.merge_from_dict(SMALL_TRESNET)
    state = MODELS.build(cfg.model).state_dict()
    state['head.decoder.group_linear.bias'][9604] = 100.0
    names = tuple(f'class {i}' for i in range(9605))
    meta = dict(dataset_meta=dict(classes=names))
    torch.save(dict(state_dict=state, meta=meta), tmp_path / 'open_images.pth')

    inferencer = MultiLabelInferencer(cfg, tmp_path / 'open_images.pth', device='cpu')
    (prediction,) = inferencer(np.zeros((90, 120, 3), np.uint8), thr=0, topk=2)

    assert prediction['labels'][0] == 'class 9604'
    assert len(prediction['labels']) == 2
