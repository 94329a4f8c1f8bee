import numpy as np
import pytest
import torch
from published_names import (
    paddleclas_fc,
    paddleclas_ml_decoder,
    paddleclas_resnet,
    random_arrays,
    save_paddle,
)
from tiny_run import VD, build_runner, read, read_log

from mmpretrain_mldecoder.checkpoints import convert
from mmpretrain_mldecoder.errors import RunError

ONE_EPOCH = {'param_scheduler': None, 'train_cfg.max_epochs': 1}
BACKBONE = paddleclas_resnet(18, True, 4)


def _decoder(num_queries: int) -> dict:
    return paddleclas_ml_decoder(32, num_queries, 1, dims=8, hidden=16)


@pytest.fixture
def trained(by_epoch):
    """A config and a checkpoint of its training."""
    config, run = by_epoch
    return config, str(run / 'epoch_1.pth')


# ---- testing


@pytest.fixture
def run_test(trained, tmp_path):
    """What tests a checkpoint: a path, or a function that changes what the trained one holds."""

    def run_test(checkpoint, run='test', **options) -> dict:
        config, path = trained
        if callable(checkpoint):
            content = read(path)
            content = checkpoint(content) or content
            checkpoint = str(tmp_path / 'changed.pth')
            torch.save(content, checkpoint)
        return getattr(build_runner(config, tmp_path, load_from=checkpoint, **options), run)()

    return run_test


def test_fitting_weights_are_tested(trained, run_test, tmp_path):
    assert 'coco/mAP' in run_test(trained[1])
    assert 'coco/mAP' in run_test(save_paddle(tmp_path, BACKBONE | _decoder(4)), **VD)
    assert 'numbers mean nothing' not in read_log(tmp_path)


@pytest.mark.parametrize('run', ['test', 'val'])
def test_other_class_count_is_refused(trained, run_test, run):
    message = (
        rf'^load_from: {trained[1]} does not fit this config: 3 of .*group_linear\.bias: '
        r'\(4,\) in the file, \(3,\) in the model.*set model\.head\.num_classes \(and num_groups of'
    )
    with pytest.raises(ValueError, match=message):
        # The dataset has other classes, which the check of the config would say first.
        run_test(trained[1], run, **{'model.head.num_classes': 3}, check_config=False)


def test_changed_checkpoint_is_refused(run_test):
    def change(content):
        for name in ('running_mean', 'num_batches_tracked'):
            del content['state_dict'][f'backbone.bn1.{name}']

    with pytest.raises(ValueError, match=r': 1 missing \(backbone\.bn1\.running_mean\)'):
        run_test(change)


def test_other_names_of_classes_are_a_warning(run_test, tmp_path):
    def change(content):
        meta = content['meta']['dataset_meta']
        meta['classes'] = [*meta['classes'][:-1], 'another']

    run_test(change)
    assert f"class 3 is 'another' in {tmp_path}/changed.pth and 'dog'" in read_log(tmp_path)


@pytest.mark.parametrize('run', ['test', 'val'])
def test_classes_in_another_order_are_refused(run_test, run):
    def change(content):
        meta = content['meta']['dataset_meta']
        meta['classes'] = meta['classes'][::-1]

    # MMEngine's hook builds the training in its `before_run`, in a test, too.
    stopping = dict(type='EarlyStoppingHook', monitor='coco/mAP', rule='greater')
    with pytest.raises(ValueError, match='the same classes in another order'):
        run_test(change, run, custom_hooks=[stopping])


def test_names_of_a_wrapped_model_are_known(run_test):
    def change(content):
        return {f'module.{name}': value for name, value in content['state_dict'].items()}

    run_test(change, custom_hooks=[])


def test_models_may_adapt_a_checkpoint(trained, tmp_path):
    # The host's ViT resizes position embeddings of another image size by itself.
    arch = dict(embed_dims=8, num_layers=1, num_heads=1, feedforward_channels=8)
    vit = dict(type='VisionTransformer', arch=arch, patch_size=8, out_type='featmap')
    checkpoint = str(tmp_path / 'vit.pth')
    for img_size in (32, 64):
        backbone = dict(vit, img_size=img_size, _delete_=True)
        options = {'model.backbone': backbone, 'model.head.in_channels': 8}
        options |= dict(custom_hooks=[], load_from=checkpoint)
        runner = build_runner(trained[0], tmp_path, **options)
        if img_size == 32:
            torch.save(runner.model.state_dict(), checkpoint)
        runner.test()
    assert 'does not fit' not in read_log(tmp_path)


# ---- training


@pytest.mark.parametrize('num_queries', [4, 6, None])
def test_converted_weights_keep_the_backbone(trained, tmp_path, capsys, num_queries):
    shapes = BACKBONE | (paddleclas_fc(32, 7) if num_queries is None else _decoder(num_queries))
    options = ONE_EPOCH | VD | {'optim_wrapper.optimizer.lr': 0}
    runner = build_runner(trained[0], tmp_path, load_from=save_paddle(tmp_path, shapes), **options)
    runner.train()
    state = convert(random_arrays(shapes)).state_dict
    ema_and_raw = read(tmp_path / 'epoch_1.pth')
    raw = {k.removeprefix('module.'): v for k, v in ema_and_raw['ema_state_dict'].items()}
    for end in (ema_and_raw['state_dict'], raw):
        for name, _ in runner.model.named_parameters():  # a rate of 0 leaves parameters alone
            if name in state and state[name].shape == end[name].shape:
                np.testing.assert_array_equal(end[name], state[name], err_msg=name)
    log = read_log(tmp_path)
    assert log.count('keeps the backbone') == (num_queries != 4)
    assert 'do not match exactly' not in capsys.readouterr().out  # MMEngine has nothing to add
    if num_queries == 6:
        assert '3 other weights are randomly initialised: head.decoder.queries' in log
        assert 'head.decoder.group_linear.bias. 0 weights of the file are not used' in log
    if num_queries is None:
        assert '2 weights of the file are not used: head.fc.weight, head.fc.bias' in log


def test_converted_backbone_must_fit(trained, tmp_path):
    checkpoint = save_paddle(tmp_path, BACKBONE | _decoder(4))
    for options in ({}, VD | {'model.backbone.depth': 34}):
        runner = build_runner(trained[0], tmp_path, load_from=checkpoint, **ONE_EPOCH, **options)
        with pytest.raises(ValueError, match=r'weights\.pdparams does not fit the ResNet'):
            runner.train()


def started(trained, tmp_path, change, **options):
    """The weights after a training of rate 0 from a changed checkpoint, and the log."""
    config, path = trained
    content = read(path)
    torch.save(change(content) or content, tmp_path / 'start.pth')
    options = ONE_EPOCH | {'optim_wrapper.optimizer.lr': 0} | options
    build_runner(config, tmp_path, load_from=str(tmp_path / 'start.pth'), **options).train()
    return read(tmp_path / 'epoch_1.pth')['state_dict'], read_log(tmp_path)


@pytest.mark.parametrize('prefix', ['_orig_mod.', 'net.model.'])
def test_a_training_starts_from_names_behind_a_prefix(trained, tmp_path, prefix):
    start = read(trained[1])['state_dict']
    added = {f'{prefix}{name}': value + 1 for name, value in start.items()}
    end, log = started(trained, tmp_path, lambda _: dict(state_dict=added, epoch=1))
    for name in ('backbone.conv1.weight', 'head.decoder.input_proj.weight'):
        assert torch.equal(end[name], start[name] + 1), name
    assert 'randomly initialised' not in log
    assert (f'below {prefix}' in log) == ('model.' in prefix)


@pytest.mark.parametrize('prefix', ['', 'module.net.'])
def test_a_training_starts_from_a_backbone_alone(trained, tmp_path, prefix):
    start = read(trained[1])['state_dict']
    alone = {
        prefix + name.removeprefix('backbone.'): value + 1
        for name, value in start.items()
        if name.startswith('backbone.')
    }
    end, log = started(trained, tmp_path, lambda _: alone | {f'{prefix}fc.bias': torch.ones(9)})
    assert torch.equal(end['backbone.conv1.weight'], start['backbone.conv1.weight'] + 1)
    assert 'other weights are randomly initialised: head.decoder.queries' in log


@pytest.mark.parametrize('lost', ['', 'backbone.layer2.1.conv1.weight'])
def test_a_training_from_part_of_a_backbone_is_refused(trained, tmp_path, lost):
    def change(content):
        state = content['state_dict']
        return {n if lost else f'{n}_other': v for n, v in state.items() if n != lost}

    name = lost.removeprefix('backbone.')
    with pytest.raises(ValueError, match=rf'start\.pth .*missing .*{name}.*load_strict = False'):
        started(trained, tmp_path, change)
    start = read(trained[1])['state_dict']['backbone.conv1.weight']
    end, log = started(trained, tmp_path, change, load_strict=False)  # the advice
    assert torch.equal(end['backbone.conv1.weight'], start) == bool(lost)
    assert 'keeps what fits' in log and 'Nothing reads the key' not in log


def test_rows_of_the_head_follow_the_classes(trained, tmp_path):
    def change(content):
        names = content['meta']['dataset_meta']['classes']
        content['meta']['dataset_meta']['classes'] = [names[1], names[0], 'other', names[3].upper()]

    start = read(trained[1])['state_dict']
    end, log = started(trained, tmp_path, change)
    for name in ('queries', 'group_linear.weight', 'group_linear.bias'):
        name = f'head.decoder.{name}'
        for ours, theirs in {0: 1, 1: 0, 3: 3}.items():
            assert torch.equal(end[name][ours], start[name][theirs]), (name, ours)
    assert '1 kept' in log and '2 moved' in log and '1 new' in log and '1 dropped (other)' in log


def test_resuming_reads_once_and_is_left_alone(trained, tmp_path, monkeypatch):
    config, checkpoint = trained
    reads = []
    load = torch.load
    monkeypatch.setattr(torch, 'load', lambda *a, **k: reads.append(a) or load(*a, **k))
    options = ONE_EPOCH | {'train_cfg.max_epochs': 2}
    build_runner(config, tmp_path, load_from=checkpoint, resume=True, **options).train()
    assert len(reads) == 1
    with pytest.raises(RunError, match='cannot be resumed from'):
        backbone = save_paddle(tmp_path, BACKBONE)
        build_runner(config, tmp_path, load_from=backbone, resume=True, **options).train()
