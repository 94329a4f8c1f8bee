import re

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmpretrain.registry import DATASETS, MODELS
from tiny_run import (
    ITERATIONS,
    assert_same_training,
    build_runner,
    load_tool,
    read,
    read_log,
    refusal,
    write_tiny_config,
)

from mmpretrain_mldecoder.engine import LivePageHook
from mmpretrain_mldecoder.visualization.html_page import read_page_data

LIVE = "custom_hooks.append(dict(type='LivePageHook', num_images=5, refresh=0))\n"


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp('live')
    config = write_tiny_config(folder, LIVE)
    build_runner(config, folder / 'run').train()
    return config, folder / 'run'


def data_of(work_dir):
    return read_page_data(work_dir / 'live.html')


def test_training_is_the_same_to_the_last_bit(trained, tmp_path):
    config, run = trained
    hooks = Config.fromfile(config).custom_hooks
    assert hooks.pop().type == 'LivePageHook'
    build_runner(config, tmp_path, custom_hooks=hooks).train()
    assert_same_training(run / 'epoch_3.pth', tmp_path / 'epoch_3.pth')
    assert not (tmp_path / 'live.html').exists()


def test_page_has_the_numbers_of_the_log(trained):
    _, run = trained
    data, log = data_of(run), read_log(run)
    hub = read(run / 'epoch_3.pth')['message_hub']['log_scalars']
    assert [record['step'] for record in data['training']] == list(range(1, 10))
    losses = [record['loss'] for record in data['training']]
    assert losses[0] == pytest.approx(hub['train/loss']['values'][0].item(), rel=1e-4)
    assert data['unit'] == 'epoch' and data['finished']
    assert data['title'] == f'{run.parent.name}/{run.name}'
    assert (data['progress']['iteration'], data['progress']['epoch']) == (9, 3)
    logged = re.findall(r'coco/mAP: (\S+)  coco/mAP_raw: (\S+) ', log)
    for step, (record, (ema, raw)) in enumerate(
        zip(data['validations'], logged, strict=True), start=1
    ):
        assert record['step'] == step
        assert record['metrics']['coco/mAP'] == pytest.approx(float(ema), abs=1e-3)
        assert record['metrics']['coco/mAP_raw'] == pytest.approx(float(raw), abs=1e-3)
        assert np.mean(record['ap']) == pytest.approx(float(ema), abs=1e-3)
        assert f'Validation after epoch {step}: coco/mAP {float(ema):.2f}' in log
    assert f'Live page: open {run / "live.html"} in a browser' in log


def test_images_have_the_scores_of_the_averaged_weights(trained):
    config, run = trained
    data, cfg = data_of(run), Config.fromfile(config)
    dataset = DATASETS.build(cfg.val_dataloader.dataset)
    model = MODELS.build(cfg.model).eval()
    model.load_state_dict(read(run / 'epoch_3.pth')['state_dict'])  # of the average
    names = [image['file'].split('/')[-1] for image in data['images']]
    assert names == [f'{i:012d}.jpg' for i in (0, 2, 3, 4, 6)]
    for index, image, labels in zip(
        (0, 2, 3, 4, 6), data['images'], data['validations'][-1]['images'], strict=True
    ):
        sample = dataset[index]
        assert image['positive'] == sorted(set(sample['data_samples'].gt_label.tolist()))
        with torch.no_grad():
            (output,) = model.val_step(
                dict(inputs=[sample['inputs']], data_samples=[sample['data_samples']])
            )
        assert sorted(label for label, _, _ in labels) == [0, 1, 2, 3]
        for label, score, attention in labels:
            assert score == pytest.approx(output.pred_score[label].item(), abs=1e-5)
            assert attention.startswith('data:image/png')


@pytest.mark.parametrize('more', ['', ITERATIONS])
def test_resume_continues_the_page(tmp_path, more):
    config, run = write_tiny_config(tmp_path, LIVE + more), tmp_path / 'run'
    build_runner(config, run).train()
    unbroken = data_of(run)
    start = run / ('iter_6.pth' if more else 'epoch_2.pth')
    build_runner(config, run, resume=True, load_from=str(start)).train()
    resumed = data_of(run)
    for part in ('training', 'validations', 'images', 'unit', 'finished'):
        assert resumed[part] == unbroken[part], part
    assert resumed['unit'] == ('iteration' if more else 'epoch')
    assert [v['step'] for v in resumed['validations']] == ([4, 8] if more else [1, 2, 3])


def test_without_validation_the_curves_remain(tmp_path):
    config = write_tiny_config(tmp_path, LIVE + "train_cfg['max_epochs'] = 1\n")
    load_tool('train')(config, '--no-validate', '--work-dir', tmp_path / 'run')
    data = data_of(tmp_path / 'run')
    assert len(data['training']) == 3 and data['validations'] == data['images'] == []
    assert data['notes'] == ['This training is not validated.']


@pytest.mark.parametrize('pooling', ['GlobalAveragePooling', 'GeneralizedMeanPooling'])
def test_another_head_and_another_metric(tmp_path, pooling):
    more = f"model['neck'] = dict(type='{pooling}')"
    more += """
model['head'] = dict(type='MultiLabelLinearClsHead', num_classes=4, in_channels=8)
test_pipeline.insert(1, dict(type='CenterCrop', crop_size=40))
val_evaluator = dict(type='AveragePrecision')
default_hooks['checkpoint'].update(save_best=None)
train_cfg['max_epochs'] = 1
"""
    config = write_tiny_config(tmp_path, LIVE + more)
    hooks = [dict(type='LivePageHook', refresh=0)]
    build_runner(config, tmp_path / 'run', custom_hooks=hooks).train()
    (record,) = data_of(tmp_path / 'run')['validations']
    assert record['ap'] is None and list(record['metrics'])
    drawn = {attention is not None for labels in record['images'] for _, _, attention in labels}
    assert drawn == {pooling == 'GlobalAveragePooling'}


def test_unknown_labels_are_unknown(tmp_path):
    more = """
test_pipeline[-1] = dict(type='PackMultiLabelInputs', absent='unknown', num_classes=4)
default_hooks['checkpoint'].update(save_best=None)
train_cfg['max_epochs'] = 1
"""
    build_runner(write_tiny_config(tmp_path, LIVE + more), tmp_path / 'run').train()
    data = data_of(tmp_path / 'run')
    for image in data['images']:
        assert sorted(image['positive'] + image['unknown']) == [0, 1, 2, 3]
    assert data['validations'][0]['ap'] == [None] * 4  # nothing is known to be negative
    assert 'Validation after epoch 1: no metric' in read_log(tmp_path / 'run')


def test_a_page_that_cannot_be_written_ends_no_training(tmp_path):
    config, run = (
        write_tiny_config(tmp_path, LIVE + "train_cfg['max_epochs'] = 1\n"),
        tmp_path / 'r',
    )
    (run / 'live.html').mkdir(parents=True)
    build_runner(config, run).train()
    log = read_log(run)
    assert log.count('The live page: FileExistsError') == 1
    assert 'Validation after epoch 1' in log and (run / 'epoch_1.pth').exists()


def test_validation_alone_writes_nothing(trained, tmp_path):
    config, run = trained
    alone = {'default_hooks.checkpoint.save_best': None, 'load_from': str(run / 'epoch_3.pth')}
    assert 'coco/mAP' in build_runner(config, tmp_path, **alone).val()
    assert not (tmp_path / 'live.html').exists()


def test_arguments(tmp_path, capsys):
    with pytest.raises(ValueError, match='num_images must be at least 0, but got -1'):
        LivePageHook(num_images=-1)
    config = write_tiny_config(
        tmp_path, "custom_hooks.append(dict(type='LivePageHook', refresh=-2))"
    )
    said = refusal(capsys, load_tool('train'), config, '--work-dir', tmp_path / 'run')
    assert 'refresh must be at least 0, but got -2' in said
