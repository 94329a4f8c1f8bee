import copy
import re
from contextlib import nullcontext
from functools import partial
from itertools import count

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.optim import CosineAnnealingLR, OneCycleLR, build_optim_wrapper
from mmengine.registry import VISBACKENDS
from mmengine.visualization import LocalVisBackend
from mmpretrain.evaluation import AveragePrecision
from mmpretrain.registry import MODELS
from tiny_run import ROOT, assert_same_training, build_runner, load_tool, write_tiny_config
from torch import nn

from mmpretrain_mldecoder.engine import DualEMAHook, PlainOneCycleLR
from mmpretrain_mldecoder.engine.checks.build import check_annotation_files, check_type_names
from mmpretrain_mldecoder.engine.checks.config_error import (
    check_option,
    explained,
    near_keys,
    read_config,
)
from mmpretrain_mldecoder.engine.checks.idle_settings import idle_settings
from mmpretrain_mldecoder.engine.checks.training import (
    check_average,
    check_paramwise,
    check_recomputed_norms,
    check_schedules,
)
from mmpretrain_mldecoder.engine.runners import launch
from mmpretrain_mldecoder.errors import ConfigError

_NUMBERS = count()


def _linear(in_channels):
    head = dict(type='MultiLabelLinearClsHead', num_classes=4, in_channels=in_channels)
    return dict(_delete_=True, **head)


# Messages before the first step, and the options, or lines of a config, that they are about.
ERRORS = {
    'num_classes = 5, but train_dataloader.dataset has 4 classes': {'model.head.num_classes': 5},
    'data_preprocessor.num_classes = 3, but': {'model.data_preprocessor.num_classes': 3},
    "class 0 is 'ant' in train_dataloader.dataset and 'bee' in val_dataloader.dataset": {
        'val_dataloader.dataset.metainfo': {'classes': ['bee', 'ant', 'cat', 'dog']}
    },
    'in_channels = 64, but model.backbone (ResNet) gives 32': {'model.head.in_channels': 64},
    'in_channels = 48, but model.backbone (ResNet) gives 32 channels': {
        'model.head': _linear(48),
        'model.neck': dict(type='GlobalAveragePooling'),
    },
    "'MultiLabelLinearClsHead' takes pooled features": {'model.head': _linear(32)},
    'the model fails on the first image of train_dataloader, (3, 32, 32): RuntimeError': {
        'model.backbone.in_channels': 1
    },
    "model.head: MLDecoderHead needs 'in_channels'. Add to model.head": {
        'model.head': dict(_delete_=True, type='MLDecoderHead', num_classes=4)
    },
    'model.head.num_groups = 9: num_groups must': {'model.head.num_groups': 9},
    'model.head.loss fails on the first image of train_dataloader: avg_factor can not be used': {
        'model.head.loss': dict(type='CrossEntropyLoss', use_sigmoid=True, reduction='sum')
    },
    'model.head.topk = 9, but': {'model.head.topk': 9},
    'val_evaluator.topk = 9, but model.head.num_classes = 4: set topk to 4 or less': {
        'val_evaluator.topk': 9,
        'val_evaluator.with_f1': True,
    },
    'val_evaluator: MultiLabelMAP fails on the first images: by_size=True needs': {
        'val_evaluator.by_size': True,
        'val_dataloader.dataset.pipeline.2.meta_keys': ('sample_idx',),
    },
    "val_evaluator.type = 'Accuracy' is for one label": {'val_evaluator.type': 'Accuracy'},
    "'MLDecoderClsHead' is for one label per image": {'model.head.type': 'MLDecoderClsHead'},
    'train_dataloader.dataset.pipeline ends with gt_lab': {'lines': 'train_pipeline.pop()\n'},
    'batch_size = 1: each of the 20 batch norms': {'train_dataloader.batch_size': 1},
    'the last batch of an epoch has 1 of the 12 images': {'train_dataloader.batch_size': 11},
    "default_hooks.checkpoint.save_best = 'coco/map', but val_evaluator gives coco/mAP": {
        'default_hooks.checkpoint.save_best': 'coco/map'
    },
    'DurableCheckpointHook takes no argument': {'default_hooks.checkpoint.intervall': 2},
    'checkpoint.interval = 0: it must be at least 1': {'default_hooks.checkpoint.interval': 0},
    'train_cfg.val_interval = 0': {'train_cfg.val_interval': 0},
    'max_keep_ckpts = 0: it must be an integer': {'default_hooks.checkpoint.max_keep_ckpts': 0},
    'train_dataloader gives no batch: it has 12 images, batch_size = 50': {
        'train_dataloader.batch_size': 50,
        'train_dataloader.drop_last': True,
        'lines': 'param_scheduler = None\n',
    },
    "type = 'EpochBasedTrainLoop' and by_epoch = True": {'train_cfg.type': 'EpochBasedTrainLoop'},
    "train_cfg.by_epoch = 'no': it must be True": {'train_cfg.by_epoch': 'no'},
    'env_cfg: cannot find context for': {'env_cfg': {'mp_cfg': {'mp_start_method': 'nope'}}},
    'log_processor.window = 1: ': {'log_processor': {'window': 1}},
    "visualizer.type = 'Nope': no visuali": {'visualizer': {'type': 'Nope'}},
    'randomness: Seed must be between 0 and': {'randomness.seed': -1},
    'param_scheduler.total_steps = 2, but': {'param_scheduler.total_steps': 2},
    "takes no argument 'num_head'; near: num_heads": {'model.head.num_head': 2},
    'batchsize = 8: DataLoader takes no argument': {'train_dataloader.batchsize': 8},
    "clip_grad_norm_ takes no argument 'max_nrm'; near: max_norm": {
        'optim_wrapper.clip_grad': {'max_nrm': 1}
    },
    'optim_wrapper.clip_grad.clip_value = None: it must be a number above 0': {
        'optim_wrapper.clip_grad': {'type': 'value', 'foreach': True}
    },
    'max_norm = -1: it must be a number above 0': {'optim_wrapper.clip_grad': {'max_norm': -1}},
    "{'max_norm': 1, 'norm_type': 'l2'}: clip_grad_norm_ raises": {
        'optim_wrapper.clip_grad': {'max_norm': 1, 'norm_type': 'l2'}
    },
    "val_evaluator.type = 'Evaluatr': no evaluator of that name; near: Evaluator": {
        'val_evaluator': {'_delete_': True, 'type': 'Evaluatr', 'metrics': []}
    },
    'val_evaluator is missing or None': {'lines': 'val_evaluator = None\n'},
    "log_level = 'LOUD': it must be": {'log_level': 'LOUD'},
    "launcher = 'ssh': it must be": {'launcher': 'ssh'},
    'load_from = 3: it must be a text': {'load_from': 3},
    'model = None: it must be a dict': {'lines': 'model = None\n'},
    'model.backbone.depth = 19: invalid depth 19 for resnet': {'model.backbone.depth': 19},
    'visualizer.vis_backends: AbsentBackend cannot start: ImportError: pip install absent': {
        'visualizer': dict(type='Visualizer', vis_backends=[dict(type='AbsentBackend')])
    },
}


@VISBACKENDS.register_module()
class AbsentBackend(LocalVisBackend):
    def _init_env(self):
        raise ImportError('pip install absent')


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('errors')
    write_tiny_config(folder)
    return folder


def _config(folder, lines):
    path = folder / f'error{next(_NUMBERS)}.py'
    path.write_text((folder / 'tiny.py').read_text() + lines)
    return path


@pytest.mark.parametrize('message', ERRORS)
def test_error_comes_before_the_first_step(folder, tmp_path, message):
    options = dict(ERRORS[message])
    lines = options.pop('lines', '')
    with pytest.raises(ConfigError, match=re.escape(message)):
        build_runner(_config(folder, lines), tmp_path, **options).train()
    assert not list(tmp_path.glob('*.pth'))


def test_names_are_looked_up_before_anything_is_built(folder):
    for key, name, message in (
        ('model.backbone.type', 'Resnet', 'no model of that name; near: ResNet'),
        ('model.head.loss', dict(type='AsymetricLoss'), 'model.head.loss.type.*AsymmetricLoss'),
        ('train_dataloader.dataset.type', 'CocoMultiLabel', 'no dataset .*near: COCOMultiLabel'),
        ('train_dataloader.dataset.pipeline.1.type', 'RandomResizeCrop', 'near: RandomResizedCrop'),
        ('train_dataloader.sampler.type', 'SeedSampler', 'near: SeededSampler'),
        ('train_dataloader.collate_fn', dict(type='default_colate'), 'near: default_collate'),
        ('val_evaluator.type', 'MultilabelMap', 'near: MultiLabelMAP'),
        ('optim_wrapper.optimizer.type', 'adam', 'near: Adam'),
        ('optim_wrapper.constructor', 'NoDecay1D', 'near: NoDecay1DConstructor'),
        ('param_scheduler.type', 'PlainOneCycle', 'near: PlainOneCycleLR'),
        ('custom_hooks.1.type', 'DualEmaHook', 'near: DualEMAHook'),
        ('default_hooks.chekpoint', dict(interval=2), 'near: checkpoint'),
    ):
        cfg = Config.fromfile(folder / 'tiny.py')
        check_type_names(cfg)
        cfg.merge_from_dict({key: name})
        with pytest.raises(ConfigError, match=re.escape(key.rpartition('.')[0])) as caught:
            check_type_names(cfg)
        assert re.search(message, str(caught.value))


def test_missing_annotations_come_before_a_loader_is_built(folder):
    option = {'val_dataloader.dataset.data_root': 'nowhere'}
    runner = build_runner(folder / 'tiny.py', folder / 'run', **option)
    message = r"val_dataloader.dataset.ann_file = .*: no file nowhere/.*data_root .now 'nowhere'."
    with pytest.raises(FileNotFoundError, match=message):
        runner.train()
    assert isinstance(runner._train_loop, dict)


def test_a_training_needs_no_annotations_of_a_test(folder):
    cfg = Config.fromfile(folder / 'tiny.py')
    cfg.test_dataloader.dataset.ann_file = 'absent.json'
    check_annotation_files(cfg, 'train', 'val')
    with pytest.raises(ConfigError, match=r"test_.*\.ann_file = 'absent.json': no file .*coco.abs"):
        check_annotation_files(cfg, 'test')


@pytest.mark.parametrize('tool', ['train', 'test', 'export_onnx'])
def test_tools_end_in_one_line(folder, tmp_path, capsys, tool):
    config = _config(folder, "model['head']['num_groups'] = 9\n")
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


@pytest.mark.parametrize(
    ('option', 'message'),
    [
        ({'param_schedulers.pct_start': 0.3}, "no key 'param_schedulers'; near: param_scheduler"),
        ({'model.head.num_classes': 'many'}, 'model.head.num_classes must be a number, as 4 is'),
        ({'custom_hooks.1.decay': 'slow'}, 'custom_hooks.1.decay must be a number, as 0.7 is'),
        ({'model': 5}, 'model is a dict.*model.KEY=VALUE: type, data_preprocessor, backbone, head'),
    ],
)
def test_option_that_makes_no_sense(folder, option, message):
    ((key, value),) = option.items()
    with pytest.raises(ConfigError, match=message):
        check_option(Config.fromfile(folder / 'tiny.py'), key, value)


def test_option_that_makes_sense(folder):
    for key, value in {
        'optim_wrapper.optimizer.lr': None,
        'train_dataloader.batch_size': 'auto',
        'train_cfg.dynamic_intervals': [(1, 1)],
        'val_evaluator': None,
        'compile': True,  # known, but absent
    }.items():
        check_option(Config.fromfile(folder / 'tiny.py'), key, value)


PURE = """
from mmengine.dataset import default_collate
from mmpretrain.models import ImageClassifier
from torch.optim import AdamW
from mmpretrain_mldecoder.models.heads import MLDecoderHead
from mmpretrain_mldecoder.engine import NoDecay1DConstructor
from collections import Counter

model = dict(type=ImageClassifier, head=dict(type=MLDecoderHead, num_classes=3))
train_dataloader = dict(collate_fn=dict(type=default_collate), batch_size=8)
optim_wrapper = dict(optimizer=dict(type=AdamW, betas=(0, 0.9)), constructor=NoDecay1DConstructor)
mine = [dict(type=Counter)]
default_scope = 'mmpretrain'
"""


def test_classes_in_a_config_are_read_as_their_names(tmp_path):
    """What a pure Python config says is what its twin of text says."""
    (tmp_path / 'pure.py').write_text(PURE)
    kept = [line for line in PURE.splitlines() if 'import' not in line]
    text = re.sub(r'\b(type|constructor)=(\w+)', r"\1='\2'", '\n'.join(kept))
    (tmp_path / 'text.py').write_text(text.replace("'Counter'", "'collections.Counter'"))
    pure, twin = (read_config(tmp_path / f'{name}.py') for name in ('pure', 'text'))
    assert pure.to_dict() == twin.to_dict()
    assert read_config(Config.fromfile(tmp_path / 'pure.py')).to_dict() == twin.to_dict()
    assert read_config(twin) is twin


def test_keys_that_nothing_reads():
    cfg = Config(dict(param_schedulers=[], data_root='a', test_pipeline=[], custom_hook=[]))
    assert near_keys(cfg) == {'param_schedulers': 'param_scheduler', 'custom_hook': 'custom_hooks'}


BASE = """
size = 32
vis_backends = [dict(type='LocalVisBackend')]
visualizer = dict(type='Visualizer', vis_backends=vis_backends)
test_pipeline = [dict(type='Resize', scale=size)]
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
custom_hooks = [dict(type='DualEMAHook'), dict(type='IterSeedHook')]
env_cfg = dict(cudnn_benchmark=True)
"""


@pytest.mark.parametrize(
    ('lines', 'named', 'followed'),
    [
        (
            'vis_backends = []',
            'Set visualizer.vis_backends',
            'vis_backends = []\nvisualizer = dict(vis_backends=vis_backends)',
        ),
        (
            'test_pipeline = []',
            'Set test_dataloader.dataset.pipeline',
            'test_dataloader = dict(dataset=dict(pipeline=[]))',
        ),
        (
            "custom_hooks = [dict(type='EmptyCacheHook'), dict(type='IterSeedHook')]",
            'DualEMAHook will not run',
            "custom_hooks = [dict(type='IterSeedHook'), dict(type='DualEMAHook')]",
        ),
        (
            'env_cfg = dict(cudnn_benchmrk=True)',
            'env_cfg.cudnn_benchmrk does nothing; near: cudnn_benchmark',
            'env_cfg = dict(mp_cfg=dict(opencv_num_threads=0))',
        ),
        (
            'model = dict(data_preprocessor=dict(mean=[0]))\ndata_preprocessor = dict(std=[1])',
            'does nothing beside model.data_preprocessor',
            'model = dict(data_preprocessor=dict(mean=[0], std=[1]))',
        ),
    ],
)
def test_settings_that_do_nothing_are_named(tmp_path, lines, named, followed):
    (tmp_path / 'base.py').write_text(BASE)
    for content, sentence in ((lines, named), (followed, None)):
        file = tmp_path / 'child.py'
        file.write_text(f"_base_ = './base.py'\n{content}\n")
        found = idle_settings(Config.fromfile(file))
        assert len(found) == (sentence is not None)
        assert all(sentence in line for line in found)


def test_variables_that_an_option_overrides_are_named(tmp_path):
    (tmp_path / 'base.py').write_text(BASE)
    cfg = Config.fromfile(tmp_path / 'base.py')
    assert not idle_settings(cfg)
    cfg.merge_from_dict(dict(vis_backends=[], custom_hooks=[]))
    assert len(idle_settings(cfg)) == 2


@pytest.mark.parametrize(('decay', 'steps'), [(0.99, 4), (0.9997, 50), (0.9997, 3000), (0.5, 1)])
def test_average_that_stays_at_the_start(decay, steps):
    """The decay that the warning names leaves less than 5 % of the first weights."""
    named = re.search(r'Set decay=(\S+) in', check_average(DualEMAHook(decay=decay), steps))
    if steps > 1:
        assert check_average(DualEMAHook(decay=float(named[1])), steps) is None
    assert check_average(DualEMAHook(decay=0.99), 540) is None


def test_batch_norms_that_are_computed_twice():
    """With the momentum that the warning names, two updates are one with 0.1."""
    config = dict(type='ResNet', depth=18, base_channels=4, stem_channels=4)
    assert check_recomputed_norms(MODELS.build(config)) is None
    warning = check_recomputed_norms(MODELS.build(dict(config, with_cp=True)))
    momentum = float(re.search(r'momentum=(0[\d.]+)', warning)[1])
    config |= dict(with_cp=True, norm_cfg=dict(type='BN', momentum=momentum))
    assert check_recomputed_norms(MODELS.build(config)) is None
    once, twice = nn.BatchNorm2d(3), nn.BatchNorm2d(3, momentum=momentum)
    for norm in (once, twice, twice):
        norm(torch.full((4, 3, 5, 5), 7.0))
    torch.testing.assert_close(twice.running_mean, once.running_mean, rtol=1e-3, atol=0)


def test_shipped_rows_have_known_keys_and_types():
    rows = sorted(ROOT.glob('configs/*/r*.py'))
    assert len(rows) > 10
    for row in rows:
        cfg = Config.fromfile(row)
        assert not near_keys(cfg), row
        for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
            cfg[name] = None  # its data is not here
        check_type_names(cfg)


def _schedule(cls, **options):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    return cls(optimizer, **options)


@pytest.mark.parametrize(
    ('options', 'warning'),
    [
        (dict(T_max=3), None),
        (dict(T_max=2, begin=1), None),
        (dict(T_max=5), 'T_max=5, but runs for 3 epochs: the learning rate does not reach its end'),
        (dict(T_max=2), 'T_max=2, but runs for 3 epochs: the learning rate rises again'),
        (dict(T_max=2, end=2), 'ends after 2 of 3 epochs'),
        (dict(T_max=2, begin=4), 'begins at 4 of 3 epochs: it does nothing'),
    ],
)
def test_length_of_a_schedule(options, warning):
    warnings = check_schedules([_schedule(CosineAnnealingLR, **options)], [{}], 3, 30)
    assert len(warnings) == (warning is not None)
    assert all(warning in found for found in warnings)


def test_one_cycle_in_steps_is_compared_in_epochs():
    schedule = _schedule(OneCycleLR, eta_max=1.0, total_steps=20, by_epoch=False)
    with pytest.raises(ConfigError, match='total_steps = 2, but the training has 3 epochs'):
        check_schedules([schedule], [{}], 3, 30)
    with pytest.raises(ConfigError, match='total_steps = 20, but the training has 30 iterations'):
        check_schedules([schedule], [dict(by_epoch=False)], 3, 30)


@pytest.fixture
def logged(folder, tmp_path, caplog):
    """Train a config and return its warnings."""

    def train(lines='', **options):
        runner = build_runner(_config(folder, lines), tmp_path, **options)
        runner.logger.addHandler(caplog.handler)
        runner.train()
        return [record.getMessage() for record in caplog.records]

    return train


def test_what_may_be_meant_is_logged(logged):
    warnings = logged(**{'param_scheduler.total_steps': 10, 'train_cfg.max_epochs': 1})
    assert any('total_steps=10, but runs for 1 epochs' in line for line in warnings)


def test_settings_of_parameters_act_or_a_line_says_why_not(folder):
    """Each that does nothing is named; following the line leaves none."""
    model = nn.ModuleDict(dict(backbone=nn.Conv2d(3, 4, 1), head=nn.BatchNorm2d(4)))

    def warnings(constructor='NoDecay1D', schedule=PlainOneCycleLR, eta_max=None, **paramwise):
        config = dict(
            optimizer=dict(type='AdamW', lr=1.0, weight_decay=0.1),
            constructor=f'{constructor}Constructor',
            paramwise_cfg=dict(paramwise),
        )
        wrapper = build_optim_wrapper(model, copy.deepcopy(config))
        cycle = schedule(wrapper, eta_max=eta_max, total_steps=9)
        return check_paramwise(model, wrapper, config, [cycle])

    slow = dict(backbone=dict(lr_mult=0.1))
    assert not warnings(custom_keys=slow, flat_decay_mult=0)
    default = 'DefaultOptimWrapper'
    assert not warnings(default, custom_keys=slow)
    (line,) = warnings(default, custom_keys=slow, flat_decay_mult=0)
    assert '1 1-D parameters' in line and "'NoDecay1DConstructor'" in line
    (line,) = warnings(custom_keys=dict(bckbone=dict(lr_mult=0.1)))
    assert 'near: backbone' in line
    (line,) = warnings(schedule=OneCycleLR, eta_max=1.0, custom_keys=slow)
    assert "Remove eta_max and set param_scheduler.type to 'PlainOneCycleLR'" in line
    assert not warnings(schedule=OneCycleLR, eta_max=1.0)


class Stop(Exception):
    """Ends a training that has passed its checks."""


class StopHook(Hook):
    def before_train(self, runner):
        raise Stop


PACK = dict(type='PackInputs')
GAP = dict(type='GlobalAveragePooling')
RESIZE = dict(type='SquareResize', scale=224)
# What a line advises, as it stands there, and the settings that it leads to.
ADVICE = {
    'set model.head.num_classes=4': ({'model.head.num_classes': 5}, {'model.head.num_classes': 4}),
    'set model.head.in_channels=32': (
        {'model.head.in_channels': 64},
        {'model.head.in_channels': 32},
    ),
    "set model.neck=dict(type='GlobalAveragePooling')": (
        {'model.head': _linear(32)},
        {'model.neck': GAP},
    ),
    'Set it to 2 or more': ({'train_dataloader.batch_size': 1}, {'train_dataloader.batch_size': 2}),
    'model.backbone.norm_eval=True': (
        {'train_dataloader.batch_size': 1},
        {'model.backbone.norm_eval': True},
    ),
    'train_dataloader.drop_last=True': (
        {'train_dataloader.batch_size': 11},
        {'train_dataloader.drop_last': True},
    ),
    "type='SquareResize', scale=224": (
        {'train_dataloader.dataset.pipeline': [dict(type='LoadWholeImage'), PACK]},
        {'train_dataloader.dataset.pipeline': [dict(type='LoadWholeImage'), RESIZE, PACK]},
    ),
    'set topk to 4 or less': ({'model.head.topk': 9}, {'model.head.topk': 4}),
    'Use a smaller batch_size': (
        {'train_dataloader.batch_size': 50, 'train_dataloader.drop_last': True},
        {'train_dataloader.batch_size': 12},
    ),
    'it must be a number above 0': (
        {'optim_wrapper.clip_grad': {'max_norm': -1}},
        {'optim_wrapper.clip_grad': {'max_norm': 1}},
    ),
}


@pytest.mark.parametrize('order', [1, -1])
def test_concatenated_datasets_need_the_same_classes(folder, tmp_path, order):
    """The other order is refused; given the same, as the line says, the training begins."""
    lines = f"""
classes = ('ant', 'bee', 'cat', 'dog')
one = dict(train_dataloader['dataset'], classes=classes)
train_dataloader['dataset'] = dict(
    type='ConcatDataset', datasets=[one, dict(one, classes=classes[::{order}])]
)
"""
    build = partial(build_runner, _config(folder, lines), tmp_path)
    if order < 0:
        with pytest.raises(ConfigError, match='give all of them the same `classes`'):
            build().train()
        return
    runner = build()
    runner.register_hook(StopHook(), priority='LOWEST')
    with pytest.raises(Stop):
        runner.train()


@pytest.mark.parametrize('advice', ADVICE)
def test_following_an_advice_leads_out(folder, tmp_path, advice):
    options, fix = ADVICE[advice]
    lines = 'param_scheduler = None\n'
    with pytest.raises(ConfigError, match=re.escape(advice)):
        build_runner(_config(folder, lines), tmp_path / 'wrong', **options).train()
    runner = build_runner(_config(folder, lines), tmp_path / 'right', **(options | fix))
    runner.register_hook(StopHook(), priority='LOWEST')
    with pytest.raises(Stop):
        runner.train()


@pytest.mark.parametrize('error', [IndexError, KeyError])
def test_a_metric_that_needs_more_images_is_no_error(folder, tmp_path, monkeypatch, error):
    """Unlike one that needs another field, which no number of images brings."""
    compute = AveragePrecision.compute_metrics

    def needs_more(self, results):
        if len(results) < 7:
            raise error('few')
        return compute(self, results)

    monkeypatch.setattr(AveragePrecision, 'compute_metrics', needs_more)
    options = {'val_evaluator': dict(_delete_=True, type='AveragePrecision'), 'custom_hooks': []}
    runner = build_runner(folder / 'tiny.py', tmp_path, **options, **{'train_cfg.max_epochs': 1})
    with nullcontext() if error is IndexError else pytest.raises(ConfigError, match='KeyError'):
        runner.train()


def test_epochs_in_a_training_by_iterations_are_logged(logged):
    schedule = dict(_delete_=True, type='LinearLR', end=2)
    lines = 'train_cfg = dict(by_epoch=False, max_iters=2)\n'
    warnings = logged(lines, param_scheduler=schedule)
    assert any('(LinearLR) counts epochs, but' in line for line in warnings)
    assert any('checkpoint.by_epoch is True, but' in line for line in warnings)


def test_other_errors_pass():
    with pytest.raises(RuntimeError, match=r'^other$'), explained({}, 'model'):
        raise RuntimeError('other')
    with pytest.raises(KeyError, match=r'^.other.$'), explained({}, 'model'):
        raise KeyError('other')


def test_wrong_runner(folder):
    cfg = Config.fromfile(folder / 'tiny.py')
    cfg.runner_type = 'PortableRuner'
    with pytest.raises(ConfigError, match=r"runner_type = 'PortableRuner'.*near: PortableRunner"):
        launch.build_runner(cfg)


def test_base_of_an_installed_package(tmp_path):
    path = tmp_path / 'mine.py'
    path.write_text("_base_ = 'mmpretrain_mldecoder::mldecoder/r50_coco.py'")
    with pytest.raises(ConfigError, match='Name a path: ours are in') as caught:
        read_config(path)
    folder = str(caught.value).rpartition(' in ')[2]
    path.write_text(f'_base_ = {folder + "/mldecoder/r50_coco.py"!r}')
    assert read_config(path).model.head.type == 'MLDecoderHead'
