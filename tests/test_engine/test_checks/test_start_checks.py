"""Errors before the first step of a training, and what they say to do."""

import re
from contextlib import nullcontext

import pytest
import torch
from mmengine.registry import VISBACKENDS
from mmengine.visualization import LocalVisBackend
from mmpretrain.evaluation import AveragePrecision
from tiny_run import assert_same_training, build_runner, load_tool

from mmpretrain_mldecoder.errors import ConfigError

PACK = dict(type='PackInputs')
LOAD = dict(type='LoadWholeImage')
RESIZE = dict(type='SquareResize', scale=224)


def _linear(in_channels):
    head = dict(type='MultiLabelLinearClsHead', num_classes=4, in_channels=in_channels)
    return {'model.head': dict(_delete_=True, **head)}


def _decoder(**more):
    return {'model.head': dict(_delete_=True, type='MLDecoderHead', num_classes=4, **more)}


def _checkpoints(**options):
    return {f'default_hooks.checkpoint.{key}': value for key, value in options.items()}


def _batches(size, **more):
    more = {f'train_dataloader.{key}': value for key, value in more.items()}
    return {'train_dataloader.batch_size': size, 'param_scheduler': None} | more


def _clip(**options):
    return {'optim_wrapper.clip_grad': options}


def _lines(*lines):
    return dict(lines=''.join(f'{line}\n' for line in lines))


def _timm(name, **more):
    backbone = dict(_delete_=True, type='TIMMBackbone', model_name=name, **more)
    return {'model.backbone': backbone, 'model.head.in_channels': 64}


SMALL_VIT = dict(patch_size=8, embed_dim=64, depth=1, num_heads=1)
GAP = {'model.neck': dict(type='GlobalAveragePooling')}
BY_SIZE = {'val_evaluator.by_size': True}
EVALUATOR = dict(_delete_=True, type='Evaluator', metrics=[dict(type='MultiLabelMAP')])
PIPELINE = 'train_dataloader.dataset.pipeline'
# A part of a message, the options (or lines of a config) that it is about, and those that follow
# what it says; none where that is the config as it was.
ERRORS = [
    ('set model.head.num_classes=4', {'model.head.num_classes': 5}, {}),
    ('with one-hot targets', {'model.data_preprocessor.num_classes': 3}, {}),
    (
        "class 0 is 'ant' in train_dataloader.dataset and 'bee' in val",
        {'val_dataloader.dataset.metainfo': dict(classes=('bee', 'ant', 'cat', 'dog'))},
        {},
    ),
    ('set model.head.in_channels=8', {'model.head.in_channels': 64}, {}),
    ('in_channels = 48, but model.backbone', _linear(48) | GAP, _linear(8) | GAP),
    ("set model.neck=dict(type='GlobalAveragePooling')", _linear(8), _linear(8) | GAP),
    (
        'fails on the first image of train_dataloader, (3, 32, 32)',
        {'model.backbone.in_channels': 1},
        {},
    ),
    ("needs 'in_channels'. Add to model.head", _decoder(), _decoder(in_channels=8)),
    ('num_groups = 9: num_groups must', {'model.head.num_groups': 9}, {'model.head.num_groups': 4}),
    (
        'loss fails on the first image of train_dataloader: avg_factor',
        {'model.head.loss': dict(type='CrossEntropyLoss', use_sigmoid=True, reduction='sum')},
        {'model.head.loss': dict(type='CrossEntropyLoss', use_sigmoid=True)},
    ),
    ('set topk to 4 or less', {'model.head.topk': 9}, {'model.head.topk': 4}),
    ('val_evaluator.topk = 9, but', {'val_evaluator.topk': 9, 'val_evaluator.with_f1': True}, {}),
    (
        'PackMultiLabelInputs in place of PackInputs',
        BY_SIZE | {'val_dataloader.dataset.pipeline.2.meta_keys': ()},
        BY_SIZE | _lines("test_pipeline[2] = dict(type='PackMultiLabelInputs')"),
    ),
    ('predicts several: use MultiLabelMAP', {'val_evaluator.type': 'Accuracy'}, {}),
    ('use MLDecoderHead, or another dataset', {'model.head.type': 'MLDecoderClsHead'}, {}),
    (
        "end it with dict(type='PackMultiLabelInputs')",
        _lines('train_pipeline.pop()'),
        _lines("train_pipeline[-1] = dict(type='PackMultiLabelInputs')"),
    ),
    (
        "such as dict(type='SquareResize', scale=224)",
        {PIPELINE: [LOAD, PACK]},
        {PIPELINE: [LOAD, RESIZE, PACK]},
    ),
    ('Set it to 2 or more', _batches(1), _batches(2)),
    (
        'or keep their statistics with model.backbone.norm_eval=True',
        _batches(1),
        _batches(1) | {'model.backbone.norm_eval': True},
    ),
    ('Set another batch_size', _batches(11), _batches(12)),
    ('or train_dataloader.drop_last=True', _batches(11), _batches(11, drop_last=True)),
    ('Use a smaller batch_size', _batches(50, drop_last=True), _batches(12, drop_last=True)),
    ('or drop_last=False', _batches(50, drop_last=True), _batches(50, drop_last=False)),
    ('but val_evaluator gives coco/mAP', _checkpoints(save_best='coco/map'), {}),
    ('near: interval', _checkpoints(intervall=2), _checkpoints(interval=2)),
    ('interval = 0: it must be at', _checkpoints(interval=0), _checkpoints(interval=-1)),
    ('val_interval = 0: it must be at least 1', {'train_cfg.val_interval': 0}, {}),
    ('or -1 for all', _checkpoints(max_keep_ckpts=0), _checkpoints(max_keep_ckpts=-1)),
    ('give by_epoch without type', {'train_cfg.type': 'EpochBasedTrainLoop'}, {}),
    ("train_cfg.by_epoch = 'no': it must be True", {'train_cfg.by_epoch': 'no'}, {}),
    ('env_cfg: cannot find', {'env_cfg': dict(mp_cfg=dict(mp_start_method='nope'))}, {}),
    ('log_processor.window = 1: ', dict(log_processor=dict(window=1)), {}),
    ('no visualizer of that name; near: Vis', dict(visualizer=dict(type='Visualiser')), {}),
    (
        'Follow that, or remove AbsentBackend',
        dict(visualizer=dict(type='Visualizer', vis_backends=[dict(type='AbsentBackend')])),
        dict(visualizer=dict(type='Visualizer', vis_backends=[])),
    ),
    ('randomness: Seed must be between 0 and', {'randomness.seed': -1}, {'randomness.seed': 1}),
    (
        'the training has 3 epochs: remove total_steps',
        {'param_scheduler.total_steps': 2},
        _lines("del param_scheduler['total_steps']"),
    ),
    (
        "backbone.model_name = 'test_vot': timm has no such model; near: test_vit",
        _timm('test_vot'),
        _timm('test_vit', img_size=32, patch_size=8),
    ),
    (
        "(32) doesn't match model (64). If the network is for one size of images, set it in",
        _timm('vit_tiny_patch16_224', img_size=64, **SMALL_VIT),
        _timm('vit_tiny_patch16_224', img_size=32, **SMALL_VIT),
    ),
    (
        "dataset.ann_file = 'x.json': VOC takes no argument 'ann_file'",
        {
            'train_dataloader.dataset': dict(
                _delete_=True, type='VOC', data_root='', ann_file='x.json'
            )
        },
        {},
    ),
    ("'num_head'; near: num_heads", {'model.head.num_head': 2}, {'model.head.num_heads': 2}),
    ("no argument 'batchsize'; near: batch_size", {'train_dataloader.batchsize': 6}, {}),
    ("keyword argument 'max_nrm'", _clip(max_nrm=1), _clip(max_norm=1)),
    (
        "missing 1 required positional argument: 'clip_value'",
        _clip(type='value', foreach=True),
        _clip(type='value', foreach=True, clip_value=1),
    ),
    ("{'max_norm': -1}: the limit must be above 0", _clip(max_norm=-1), _clip(max_norm=1)),
    (
        'no evaluator of that name; near: Evaluator',
        dict(val_evaluator=EVALUATOR | dict(type='Evaluatr')),
        dict(val_evaluator=EVALUATOR),
    ),
    ('val_evaluator is missing or None', _lines('val_evaluator = None'), {}),
    (
        "'norm_type': 'l2'}: clip_grad_norm_ raises",
        _clip(max_norm=1, norm_type='l2'),
        _clip(max_norm=1, norm_type=2),
    ),
    ("log_level = 'LOUD': it must be DEBUG", dict(log_level='LOUD'), {}),
    ('load_from: expected string', dict(load_from=3), {}),
    ('model is missing or None', _lines('model = None'), {}),
    ('model is missing or None', _lines('del model'), {}),
    ('backbone.depth = 19: invalid depth 19 for resnet', {'model.backbone.depth': 19}, {}),
]


@VISBACKENDS.register_module()
class AbsentBackend(LocalVisBackend):
    def _init_env(self):
        raise ImportError('pip install absent')


@pytest.mark.parametrize(('message', 'wrong', 'followed'), ERRORS, ids=[e[0] for e in ERRORS])
def test_error_before_the_first_step_leads_out(start, message, wrong, followed):
    with pytest.raises(ConfigError, match=re.escape(message)):
        start(**wrong)
    if followed:
        start(**followed)


def test_the_config_of_these_tests_is_sound(start):
    start()


@pytest.mark.parametrize('error', [IndexError, KeyError])
def test_a_metric_that_needs_more_images_is_no_error(start, monkeypatch, error):
    """Unlike one that needs another field, which no number of images brings."""

    def needs_more(self, results):
        raise error('few')

    monkeypatch.setattr(AveragePrecision, 'compute_metrics', needs_more)
    options = {'val_evaluator': dict(_delete_=True, type='AveragePrecision'), 'custom_hooks': []}
    with nullcontext() if error is IndexError else pytest.raises(ConfigError, match='KeyError'):
        start(**options)


def test_missing_annotations_come_before_a_loader_is_built(folder, tmp_path):
    option = {'val_dataloader.dataset.data_root': 'nowhere'}
    runner = build_runner(folder / 'tiny.py', tmp_path, **option)
    message = r"val_dataloader.dataset.ann_file = .*: no file nowhere/.*data_root .now 'nowhere'."
    with pytest.raises(FileNotFoundError, match=message):
        runner.train()
    assert isinstance(runner._train_loop, dict)


@pytest.mark.parametrize('tool', ['train', 'test', 'export_onnx'])
def test_tools_end_in_one_line(write_config, tmp_path, capsys, tool):
    config = write_config("model['head']['num_groups'] = 9\n")
    arguments = dict(train=[], test=[config], export_onnx=[config, tmp_path / 'out.onnx'])[tool]
    if tool != 'export_onnx':
        arguments += ['--work-dir', tmp_path]
    with pytest.raises(SystemExit) as caught:
        load_tool(tool)(config, *arguments)
    assert caught.value.code == 2
    printed = capsys.readouterr().err
    assert 'error: model.head.num_groups = 9: ' in printed and 'Traceback' not in printed


def test_check_can_be_left_out_and_changes_nothing(folder, tmp_path):
    for check in (True, False):
        options = {'train_cfg.max_epochs': 1, 'check_config': check}
        build_runner(folder / 'tiny.py', tmp_path / str(check), **options).train()
    assert_same_training(tmp_path / 'True/epoch_1.pth', tmp_path / 'False/epoch_1.pth')


PIXELS_OF_TIMM = {
    'model.data_preprocessor.mean': [123.675, 116.28, 103.53],
    'model.data_preprocessor.std': [58.395, 57.12, 57.375],
    PIPELINE: [
        dict(type='LoadImageFromFile'),
        dict(type='RandomResizedCrop', scale=224, interpolation='bicubic'),
        dict(type='Rotate', angle=9, interpolation='nearest'),  # its scale, 1.0, is no size
        dict(type='PackInputs'),
    ],
}


@pytest.mark.parametrize(
    ('options', 'difference'),
    [
        (
            {},
            'mean 0.000, 0.000, 0.000 (timm: 0.485, 0.456, 0.406); std 1.000, 1.000, 1.000 '
            '(timm: 0.229, 0.224, 0.225); size 32 x 32 (timm: 224 x 224); interpolation bilinear '
            '(timm: bicubic)',
        ),
        (PIXELS_OF_TIMM | {'model.data_preprocessor.to_rgb': False}, 'channels BGR (timm: RGB)'),
        (PIXELS_OF_TIMM, ''),
    ],
)
def test_pixels_of_timm(start, tmp_path, monkeypatch, options, difference):
    timm = pytest.importorskip('timm')
    name = 'lcnet_050.ra2_in1k'
    folder = tmp_path / 'weights'
    folder.mkdir()
    torch.save(timm.create_model(name).state_dict(), folder / f'{name}.bin')
    monkeypatch.setenv('MLDECODER_WEIGHTS', str(folder))
    init_cfg = dict(type='Pretrained', checkpoint=f'timm://{name}')
    backbone = dict(_delete_=True, type='TIMMBackbone', model_name='lcnet_050', init_cfg=init_cfg)
    head = {'model.backbone': backbone, 'model.head.in_channels': 1280}
    lines = [line for line in start(**head, **options).splitlines() if 'other pixels' in line]
    expected = f'timm://{name} was trained with other pixels: {difference}'
    assert lines == ([expected] if difference else [])
