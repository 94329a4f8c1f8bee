"""What the errors of resumes, tests and trainings say to do, done as they say."""

import copy
import re

import pytest
import torch
from fault_parts import Spoil, Stop, StopHook
from published_names import paddleclas_fc, paddleclas_resnet, save_paddle
from tiny_run import VD, build_runner, read, read_log

from mmpretrain_mldecoder.engine.runners.loops import LOAD
from mmpretrain_mldecoder.errors import RunError

IN_THIS_PROCESS = {'train_dataloader.num_workers': 0}
ITERATIONS = {
    'train_cfg': dict(_delete_=True, by_epoch=False, max_iters=9),
    'param_scheduler': None,
    'default_hooks.checkpoint.by_epoch': False,
}
CLASSES = ['ant', 'bee', 'cat', 'dog']


def _classes(split: str, names: list[str]) -> dict:
    return {f'{split}_dataloader.dataset.metainfo': dict(classes=names)}


@pytest.fixture(scope='module')
def checkpoints(by_epoch, tmp_path_factory):
    """Write a changed checkpoint of the trained one; of a name alone, return that of the run."""
    folder = tmp_path_factory.mktemp('checkpoints')

    def write(name: str, change=None) -> str:
        if change is None:
            return str(by_epoch[1] / name)
        content = read(by_epoch[1] / 'epoch_2.pth')
        change(content)
        torch.save(content, folder / name)
        return str(folder / name)

    return write


# ---- resumes


@pytest.fixture
def resume(by_epoch, tmp_path):
    """Resume a training from a file of the run, up to its first step; return the log."""

    def begin(load_from: str | None, resume: bool | str = True, work_dir=None, **options) -> str:
        options = (
            IN_THIS_PROCESS | copy.deepcopy(options) | dict(load_from=load_from, resume=resume)
        )
        runner = build_runner(by_epoch[0], work_dir or tmp_path, **options)
        runner.register_hook(StopHook(), priority='LOWEST')
        with pytest.raises(Stop):
            runner.train()
        return read_log(tmp_path)

    return begin


def _in_the_middle(content):
    content['meta']['loop'].update(steps=1, epoch_steps=4)


def _other_classes(content):
    content['meta']['dataset_meta']['classes'] = CLASSES[::-1]


TWO = dict(type='ConstantLR', begin=0, end=1)
COSINE = dict(type='CosineAnnealingLR', T_max=3)
SAME = 'Resume with the config that it was trained with'
# A part of the message, a file of the run (and how it was changed), the options that are refused,
# and those with which the same, or another file of the run, can be resumed.
RESUMES = {
    'weights alone': ('Name an epoch_N.pth', ('best_coco_mAP_epoch_1.pth',), {}, 'epoch_1.pth'),
    'schedules': ('and the config has 2', ('epoch_2.pth',), dict(param_scheduler=[TWO, TWO]), {}),
    'average': ('has no DualEMAHook', ('epoch_2.pth',), dict(custom_hooks=[]), {}),
    'model': (SAME, ('epoch_2.pth',), {'model.head.num_groups': 2}, {}),
    'counts': ('this one counts iterations (train_cfg', ('epoch_2.pth',), ITERATIONS, {}),
    'schedule': (SAME, ('epoch_2.pth',), dict(param_scheduler=dict(COSINE, _delete_=True)), {}),
    'optimiser': (
        SAME,
        ('epoch_2.pth',),
        {'optim_wrapper.optimizer': dict(_delete_=True, type='SGD', lr=0.1)},
        {},
    ),
    'batch size': (
        'Set train_dataloader.batch_size=4',
        ('epoch_2.pth',),
        {'train_dataloader.batch_size': 6},
        {'train_dataloader.batch_size': 4},
    ),
    'steps': ('or resume from the end of', ('middle.pth', _in_the_middle), {}, 'epoch_2.pth'),
    'classes': (
        'Set `classes` of the dataset to those',
        ('classes.pth', _other_classes),
        {},
        _classes('train', CLASSES[::-1]) | _classes('val', CLASSES[::-1]),
    ),
}


@pytest.mark.parametrize('case', RESUMES)
def test_a_resume_that_is_refused_leads_out(resume, checkpoints, case):
    message, file, wrong, followed = RESUMES[case]
    path = checkpoints(*file)
    with pytest.raises(RunError, match=re.escape(message)) as error:
        resume(path, **wrong)
    if isinstance(followed, str):
        resume(checkpoints(followed))
    else:
        resume(path, **followed)
    if LOAD in str(error.value):
        resume(path, resume=False, **wrong)


def test_checkpoints_of_an_earlier_run(by_epoch, resume, checkpoints, tmp_path):
    path, content = checkpoints('epoch_2.pth'), (by_epoch[1] / 'epoch_1.pth').read_bytes()
    for name in ('epoch_2.pth', 'best_coco_mAP_epoch_2.pth', 'epoch_10.pth', 'start.pth'):
        (tmp_path / name).write_bytes(content)
    log = resume(path, resume=False)
    assert 'run, epoch_10.pth, best_coco_mAP_epoch_2.pth, epoch_2.pth. This' in log
    line = 'add --resume to continue the earlier run, or another --work-dir to keep them'
    assert line in log
    for options in (dict(load_from=None, resume='auto'), dict(work_dir=tmp_path / 'other')):
        for file in tmp_path.glob('*/*.log'):
            file.unlink()
        assert line not in resume(**dict(load_from=path, resume=False) | options)


# ---- tests


@pytest.fixture
def run_test(by_epoch, tmp_path):
    def run_test(load_from: str, **options) -> dict:
        return build_runner(by_epoch[0], tmp_path, load_from=load_from, **options).test()

    return run_test


def _with_nan(content):
    content['state_dict']['backbone.conv1.weight'][0] = float('nan')


TESTS = {
    'backbone': ('that it was trained', ('epoch_2.pth',), {'model.backbone.type': 'ResNetVd'}, {}),
    'nan': ('use an earlier checkpoint', ('nan.pth', _with_nan), {}, 'epoch_1.pth'),
    'order': (
        'Set `classes` of the dataset to the order of the checkpoint',
        ('order.pth', _other_classes),
        {},
        _classes('test', CLASSES[::-1]),
    ),
}


@pytest.mark.parametrize('case', TESTS)
def test_a_test_that_is_refused_leads_out(run_test, checkpoints, case):
    message, file, wrong, followed = TESTS[case]
    path = checkpoints(*file)
    with pytest.raises(ValueError, match=re.escape(message)):
        run_test(path, **wrong)
    if isinstance(followed, str):
        path, followed = checkpoints(followed), {}
    assert 'coco/mAP' in run_test(path, **followed)


def test_a_training_can_start_from_the_backbone_of_another_model(run_test, resume, tmp_path):
    path = save_paddle(tmp_path, paddleclas_resnet(18, True, 4) | paddleclas_fc(32, 7))
    key = 'model.backbone.init_cfg'
    message = rf'another head \(head\.fc\.\w+, .* from the backbone: {key}\.check'
    with pytest.raises(ValueError, match=message):
        run_test(path, **VD)
    resume(None, resume=False, **VD, **{key: dict(type='Pretrained', checkpoint=path)})


# ---- trainings


@pytest.fixture
def train(by_epoch, tmp_path):
    def train(*hooks, **options) -> int:
        runner = build_runner(by_epoch[0], tmp_path / 'run', **IN_THIS_PROCESS | options)
        for hook in hooks:
            runner.register_hook(hook)
        runner.train()
        return runner.iter

    return train


def test_losses_that_are_not_finite(train):
    message = r'then continue with --resume; optim_wrapper\.max_skips=N skips'
    with pytest.raises(RunError, match=message):
        train(Spoil([4]))
    assert train(Spoil([4]), resume=True, **{'optim_wrapper.max_skips': 1}) == 9
    assert train(resume='auto') == 9


def test_a_folder_that_cannot_be_written(train, tmp_path):
    (tmp_path / 'file').touch()
    key = 'default_hooks.checkpoint.out_dir'
    with pytest.raises(RunError, match=rf'cannot be written.* or with {key}'):
        train(**{key: str(tmp_path / 'file/run')})
    assert 'Epoch(train)' not in read_log(tmp_path / 'run')
    train(**{key: str(tmp_path / 'elsewhere'), 'train_cfg.max_epochs': 1})
