import logging
import re
from itertools import count

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import CosineAnnealingLR, OneCycleLR
from tiny_run import ROOT, build_runner, load_tool, write_tiny_config

from mmpretrain_mldecoder.engine.checks import check_option, explained, warn_of_near_keys
from mmpretrain_mldecoder.engine.checks.build import check_annotation_files, check_type_names
from mmpretrain_mldecoder.engine.checks.config_error import near_names
from mmpretrain_mldecoder.engine.checks.training import check_schedules
from mmpretrain_mldecoder.engine.runners import launch
from mmpretrain_mldecoder.errors import ConfigError

_NUMBERS = count()
_LINEAR = """
model['neck'] = dict(type='GlobalAveragePooling')
model['head'] = dict(type='MultiLabelLinearClsHead', num_classes={classes}, in_channels={channels})
"""

# Lines of a config, options, and what is said before the first step.
MISTAKES = {
    'more classes': (
        '',
        {'model.head.num_classes': 5},
        'model.head.num_classes = 5, but train_dataloader.dataset has 4 classes',
    ),
    'fewer classes, linear': (
        _LINEAR.format(classes=3, channels=32),
        {},
        'model.head.num_classes = 3, but train_dataloader.dataset has 4 classes',
    ),
    'preprocessor': (
        '',
        {'model.data_preprocessor.num_classes': 3},
        'data_preprocessor.num_classes = 3, but model.head.num_classes = 4',
    ),
    'order of classes': (
        '',
        {'val_dataloader.dataset.metainfo': dict(classes=['bee', 'ant', 'cat', 'dog'])},
        "label 0 is 'ant' in train_dataloader.dataset and 'bee' in val_dataloader.dataset",
    ),
    'in_channels': (
        '',
        {'model.head.in_channels': 64},
        'model.head.in_channels = 64, but model.backbone (ResNet) gives 32 channels',
    ),
    'in_channels, linear': (
        _LINEAR.format(classes=4, channels=64),
        {},
        'model.head.in_channels = 64, but model.backbone (ResNet) gives 32 channels',
    ),
    'no neck': (
        _LINEAR.format(classes=4, channels=32) + "del model['neck']\n",
        {},
        "model.head.type = 'MultiLabelLinearClsHead' takes pooled features",
    ),
    'num_groups': ('', {'model.head.num_groups': 9}, 'model.head.num_groups = 9: num_groups must'),
    'topk of the head': ('', {'model.head.topk': 9}, 'model.head.topk = 9, but'),
    'topk of the metric': (
        '',
        {'val_evaluator.topk': 9, 'val_evaluator.with_f1': True},
        'val_evaluator.topk = 9 of MultiLabelMAP, but model.head.num_classes = 4',
    ),
    'fields of the metric': (
        "val_dataloader['dataset']['pipeline'] = [*test_pipeline[:-1], dict(type='PackInputs')]\n",
        {'val_evaluator.by_size': True},
        'val_evaluator: MultiLabelMAP cannot count the first image: by_size=True needs',
    ),
    'metric for one label': (
        '',
        {'val_evaluator.type': 'Accuracy'},
        "val_evaluator.type = 'Accuracy' is for one label an image",
    ),
    'head for one label': (
        '',
        {'model.head.type': 'MLDecoderClsHead'},
        "model.head.type = 'MLDecoderClsHead' is for one label an image",
    ),
    'no pack': ('train_pipeline.pop()\n', {}, 'train_dataloader.dataset.pipeline ends with gt_lab'),
    'batch of 1': (
        '',
        {'train_dataloader.batch_size': 1},
        'train_dataloader.batch_size = 1: each of the 20 batch norms',
    ),
    'last batch of 1': (
        '',
        {'train_dataloader.batch_size': 11},
        'train_dataloader.batch_size = 11: the last batch of an epoch has 1 of the 12 images',
    ),
    'best score': (
        '',
        {'default_hooks.checkpoint.save_best': 'coco/map'},
        "default_hooks.checkpoint.save_best = 'coco/map', but val_evaluator gives coco/mAP",
    ),
    'key of a hook': (
        '',
        {'default_hooks.checkpoint.intervall': 2},
        'default_hooks.checkpoint.intervall = 2: it takes no argument',
    ),
    'interval': ('', {'train_cfg.val_interval': 0}, 'train_cfg.val_interval = 0'),
    'checkpoints to keep': (
        '',
        {'default_hooks.checkpoint.max_keep_ckpts': 0},
        'default_hooks.checkpoint.max_keep_ckpts = 0: it must be a whole number from 1 on',
    ),
    'half a checkpoint to keep': (
        '',
        {'default_hooks.checkpoint.max_keep_ckpts': 1.5},
        'default_hooks.checkpoint.max_keep_ckpts = 1.5: it must be a whole number from 1 on',
    ),
    'no batch': (
        'param_scheduler = None\n',
        {'train_dataloader.batch_size': 50, 'train_dataloader.drop_last': True},
        'train_dataloader gives no batch: it has 12 images, batch_size = 50',
    ),
    'loop of two kinds': (
        '',
        {'train_cfg.type': 'EpochBasedTrainLoop'},
        "train_cfg has type = 'EpochBasedTrainLoop' and by_epoch = True",
    ),
    'by_epoch': ('', {'train_cfg.by_epoch': 'no'}, "train_cfg.by_epoch = 'no': it must be True"),
    'start method': (
        '',
        {'env_cfg': dict(mp_cfg=dict(mp_start_method='nope'))},
        'env_cfg: cannot find context for',
    ),
    'log processor': ('', {'log_processor': dict(window=1)}, 'log_processor.window = 1: '),
    'visualizer': ('', {'visualizer': dict(type='Nope')}, "visualizer.type = 'Nope': no visuali"),
    'seed': ('', {'randomness.seed': -1}, 'randomness: Seed must be between 0 and'),
    'key of randomness': (
        '',
        {'randomness.sed': 1},
        'randomness.sed = 1: ',
    ),
    'one cycle': ('', {'param_scheduler.total_steps': 2}, 'param_scheduler.total_steps = 2, but'),
    'key of the head': (
        '',
        {'model.head.num_head': 2},
        "model.head.num_head = 2: MLDecoderHead takes no argument 'num_head'; near: num_heads",
    ),
    'key of the loader': (
        '',
        {'train_dataloader.batchsize': 8},
        'train_dataloader.batchsize = 8: DataLoader takes no argument',
    ),
    'key of the loop': ('', {'train_cfg.max_epoch': 2}, 'train_cfg.max_epoch = 2'),
    'key of clip_grad': (
        '',
        {'optim_wrapper.clip_grad': dict(max_nrm=1)},
        'optim_wrapper.clip_grad.max_nrm = 1: clip_grad_norm_ takes no argument '
        "'max_nrm'; near: max_norm",
    ),
    'limit of clip_grad': (
        '',
        {'optim_wrapper.clip_grad': dict(type='value', foreach=True)},
        "optim_wrapper.clip_grad = {'foreach': True}: clip_grad_value_ needs clip_value",
    ),
    'negative limit of clip_grad': (
        '',
        {'optim_wrapper.clip_grad': dict(max_norm=-1)},
        'optim_wrapper.clip_grad.max_norm = -1: it must be a number above 0',
    ),
    'value in clip_grad': (
        '',
        {'optim_wrapper.clip_grad': dict(max_norm=1, norm_type='l2')},
        "optim_wrapper.clip_grad = {'max_norm': 1, 'norm_type': 'l2'}: clip_grad_norm_ says",
    ),
    'part of a loop': ('val_evaluator = None\n', {}, 'val_evaluator is missing or None'),
}


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('mistakes')
    write_tiny_config(folder)
    return folder


def _config(folder, lines):
    path = folder / f'mistake{next(_NUMBERS)}.py'
    path.write_text((folder / 'tiny.py').read_text() + lines)
    return path


@pytest.mark.parametrize('name', MISTAKES)
def test_mistake_is_told_before_the_first_step(folder, tmp_path, name):
    lines, options, message = MISTAKES[name]
    with pytest.raises(ConfigError, match=re.escape(message)):
        build_runner(_config(folder, lines), tmp_path, **options).train()
    assert not list(tmp_path.glob('*.pth'))


@pytest.mark.parametrize(
    ('key', 'name', 'message'),
    [
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
    ],
)
def test_names_are_looked_up_before_anything_is_built(folder, key, name, message):
    cfg = Config.fromfile(folder / 'tiny.py')
    check_type_names(cfg)
    cfg.merge_from_dict({key: name})
    with pytest.raises(ConfigError, match=re.escape(key.rpartition('.')[0])) as caught:
        check_type_names(cfg)
    assert re.search(message, str(caught.value))


@pytest.mark.parametrize(
    ('key', 'name', 'message'),
    [
        ('train_dataloader.dataset.ann_file', 'x.json', r"ann_file = 'x.json': no file .*coco.x"),
        ('val_dataloader.dataset.data_root', 'nowhere', "data_root .now 'nowhere'."),
    ],
)
def test_missing_annotations_are_told_before_a_loader_is_built(folder, key, name, message):
    runner = build_runner(folder / 'tiny.py', folder / 'run', **{key: name})
    with pytest.raises(FileNotFoundError, match=re.escape(key.rpartition('.')[0])) as caught:
        runner.train()
    assert re.search(message, str(caught.value))
    assert isinstance(runner._train_loop, dict)


def test_a_training_needs_no_annotations_of_a_test(folder):
    cfg = Config.fromfile(folder / 'tiny.py')
    cfg.test_dataloader.dataset.ann_file = 'absent.json'
    check_annotation_files(cfg, 'train', 'val')
    with pytest.raises(ConfigError, match=r'test_dataloader\.dataset\.ann_file'):
        check_annotation_files(cfg, 'test')


def test_tools_end_in_one_line(folder, tmp_path, capsys):
    for tool, more in (('train', []), ('test', [folder / 'tiny.py'])):
        config = _config(folder, "model['head']['num_groups'] = 9\n")
        with pytest.raises(SystemExit) as caught:
            load_tool(tool)(config, *more, '--work-dir', tmp_path)
        assert caught.value.code == 2
        printed = capsys.readouterr().err
        assert 'error: model.head.num_groups = 9: ' in printed and 'Traceback' not in printed


def test_export_ends_in_one_line(folder, tmp_path, capsys):
    config = _config(folder, "model['head']['type'] = 'MLDecoderhead'\n")
    with pytest.raises(SystemExit) as caught:
        load_tool('export_onnx')(config, config, tmp_path / 'out.onnx')
    assert caught.value.code == 2
    assert "model.head.type = 'MLDecoderhead': no model" in capsys.readouterr().err


def test_check_can_be_left_out_and_changes_nothing(folder, tmp_path):
    states = []
    for check in (True, False):
        runner = build_runner(
            folder / 'tiny.py',
            tmp_path / str(check),
            check_config=check,
            **{'train_cfg.max_epochs': 1},
        )
        runner.train()
        state = torch.load(tmp_path / str(check) / 'epoch_1.pth', weights_only=True)
        states.append(state['state_dict'])
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name]), name


@pytest.mark.parametrize(
    ('option', 'message'),
    [
        ({'param_schedulers.pct_start': 0.3}, "no key 'param_schedulers'; near: param_scheduler"),
        ({'model.head.num_classes': 'many'}, r"is a number \(4\), and 'many' is none"),
        ({'optim_wrapper.optimizer.lr': '1e-4x'}, "'1e-4x' is none"),
        ({'custom_hooks.1.decay': 'slow'}, r'custom_hooks.1.decay is a number \(0.7\)'),
        ({'model': 5}, 'model is a dict, .*its keys are type, data_preprocessor, backbone, head'),
    ],
)
def test_option_that_makes_no_sense(folder, option, message):
    ((key, value),) = option.items()
    with pytest.raises(ConfigError, match=message):
        check_option(Config.fromfile(folder / 'tiny.py'), key, value)


@pytest.mark.parametrize(
    'option',
    [
        {'optim_wrapper.optimizer.lr': None},
        {'model.head.num_classes': 5},
        {'train_cfg.dynamic_intervals': [(1, 1)]},
        {'optim_wrapper.loss_scale': 512.0},
        {'val_evaluator': None},
        {'compile': True},
        {'work_dir': 'a'},
    ],
)
def test_option_that_makes_sense(folder, option):
    ((key, value),) = option.items()
    check_option(Config.fromfile(folder / 'tiny.py'), key, value)


def test_keys_that_nothing_reads():
    cfg = Config(dict(param_schedulers=[], data_root='a', test_pipeline=[], custom_hook=[]))
    found = warn_of_near_keys(cfg)
    assert len(found) == 2
    assert "'param_schedulers'" in found[0] and 'is it custom_hooks?' in found[1]


def test_shipped_rows_have_no_doubtful_keys():
    rows = sorted(ROOT.glob('configs/*/r*.py'))
    assert len(rows) > 10
    for row in rows:
        cfg = Config.fromfile(row)
        assert not warn_of_near_keys(cfg), row
        for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
            cfg[name] = None  # its data is not here
        check_type_names(cfg)


def _schedule(cls, **options):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    return cls(optimizer, **options)


@pytest.mark.parametrize(
    ('options', 'doubt'),
    [
        (dict(T_max=3), None),
        (dict(T_max=2, begin=1), None),
        (dict(T_max=5), 'T_max=5, but runs for 3 epochs: the rate does not reach its end'),
        (dict(T_max=2), 'T_max=2, but runs for 3 epochs: the rate rises again'),
        (dict(T_max=2, end=2), 'ends after 2 of 3 epochs'),
        (dict(T_max=2, begin=4), 'begins at 4 of 3 epochs: it does nothing'),
    ],
)
def test_length_of_a_schedule(options, doubt):
    doubts = check_schedules([_schedule(CosineAnnealingLR, **options)], [True], 3, 30)
    assert len(doubts) == (doubt is not None)
    assert all(doubt in found for found in doubts)


def test_one_cycle_in_steps_is_told_in_epochs():
    schedule = _schedule(OneCycleLR, eta_max=1.0, total_steps=20, by_epoch=False)
    with pytest.raises(ConfigError, match='total_steps = 2, but the training has 3 epochs'):
        check_schedules([schedule], [True], 3, 30)
    with pytest.raises(ConfigError, match='total_steps = 20, but the training has 30 iterations'):
        check_schedules([schedule], [False], 3, 30)


def test_what_may_be_meant_is_logged(folder, tmp_path):
    options = {'param_scheduler.total_steps': 10, 'train_cfg.max_epochs': 1}
    runner = build_runner(folder / 'tiny.py', tmp_path, **options)
    warnings = []
    runner.logger.addHandler(_Keeper(warnings))
    runner.train()
    assert any('total_steps=10, but runs for 1 epochs' in line for line in warnings)


def test_epochs_in_a_training_by_iterations_are_logged(folder, tmp_path):
    lines = 'train_cfg = dict(by_epoch=False, max_iters=2)\n'
    options = {'param_scheduler': dict(_delete_=True, type='LinearLR', end=2)}
    runner = build_runner(_config(folder, lines), tmp_path, **options)
    warnings = []
    runner.logger.addHandler(_Keeper(warnings))
    runner.train()
    assert any('LinearLR of param_scheduler counts epochs' in line for line in warnings)
    assert any('checkpoint.by_epoch is True, and' in line for line in warnings)


class _Keeper(logging.Handler):
    def __init__(self, lines):
        super().__init__(logging.WARNING)
        self.lines = lines

    def emit(self, record):
        self.lines.append(record.getMessage())


def test_other_errors_pass():
    with pytest.raises(RuntimeError, match=r'^other$'), explained({}, 'model'):
        raise RuntimeError('other')
    with pytest.raises(KeyError, match=r'^.other.$'), explained({}, 'model'):
        raise KeyError('other')


def test_near_names():
    assert near_names('resnet', ['ResNet', 'ViT']) == '; near: ResNet'
    assert near_names('abc', ['ResNet']) == ''


def test_wrong_runner(folder):
    cfg = Config.fromfile(folder / 'tiny.py')
    cfg.runner_type = 'PortableRuner'
    with pytest.raises(ConfigError, match=r"runner_type = 'PortableRuner'.*near: PortableRunner"):
        launch.build_runner(cfg)
