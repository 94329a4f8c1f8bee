import json
import pickle
import shutil
import sys

import numpy as np
import pytest
import torch
from tiny_run import ROOT, load_tool, read, refusal, run, write_tiny_config

from mmpretrain_mldecoder.apis import store_thresholds, stored_thresholds, tune_thresholds

run_train, run_test = load_tool('train'), load_tool('test')
tune = load_tool('analysis_tools/tune_thresholds')
CLASSES = ['ant', 'bee', 'cat', 'dog']


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A config, its checkpoint, and scores and targets of val as the test tool dumps them."""
    folder = tmp_path_factory.mktemp('tune')
    config = write_tiny_config(folder, "train_cfg['max_epochs'] = 1\n")
    run_train(config, '--work-dir', folder)
    run_test(config, folder / 'epoch_1.pth', '--out', folder / 'p.pkl', '--work-dir', folder / 't')
    samples = pickle.loads((folder / 'p.pkl').read_bytes())
    scores = torch.stack([sample['pred_score'] for sample in samples]).numpy()
    targets = np.zeros(scores.shape, int)
    for row, sample in zip(targets, samples, strict=True):
        row[sample['gt_label'].numpy()] = 1
    return config, folder / 'epoch_1.pth', scores, targets


@pytest.fixture
def copied(trained, tmp_path):
    """The config and a checkpoint of one's own."""
    return trained[0], shutil.copy(trained[1], tmp_path / 'a.pth')


@pytest.mark.parametrize('precision', [None, 0.6])
def test_fits_the_averaged_weights_to_val(trained, copied, tmp_path, capsys, precision):
    config, checkpoint = copied
    wanted = ['--precision', precision] if precision else []
    options = ['--split', 'val', '--folds', 2, '--work-dir', tmp_path / 'w']
    tune(config, checkpoint, *wanted, *options)
    _, _, scores, targets = trained
    expected = tune_thresholds(scores, targets, CLASSES, precision, num_folds=2).values
    meta = read(checkpoint)['meta']
    thresholds = stored_thresholds(meta, CLASSES)
    # the batches are the same, so the scores are
    np.testing.assert_allclose(thresholds, expected, atol=1e-6)
    stored = meta['thresholds']
    assert (stored['split'], stored['num_images']) == ('val', 7)
    assert stored['criterion'] == (f'precision>={precision}' if precision else 'f1')
    printed = capsys.readouterr().out
    assert all(f'\n{name} ' in printed for name in ('4 rare classes', 'CF1', 'OF1', 'macro F1'))
    assert 'by construction, so that is not reported' in ' '.join(printed.split())
    assert 'If the epoch was chosen by its score on this split' in printed
    assert f'stored 4 thresholds ({stored["criterion"]}) in {checkpoint}' in printed


def test_dry_run_and_another_file_leave_the_checkpoint(copied, tmp_path, capsys):
    config, checkpoint = copied
    before = checkpoint.read_bytes()
    options = ['--folds', 2, '--work-dir', tmp_path / 'w']
    tune(config, checkpoint, '--split', 'train', '--dry-run', *options)
    printed = capsys.readouterr().out
    assert 'The model was trained on this split' in printed and 'stored' not in printed
    assert '12 images' in ''.join(path.read_text() for path in tmp_path.glob('w/*/*.log'))
    tune(config, checkpoint, '--split', 'test', '--out', tmp_path / 'b.pth', *options)
    assert checkpoint.read_bytes() == before
    assert read(tmp_path / 'b.pth')['meta']['thresholds']['split'] == 'test'


@pytest.mark.faults
def test_two_processes_store_the_same(copied, tmp_path):
    config, checkpoint = copied
    tool = ROOT / 'tools/analysis_tools/tune_thresholds.py'
    command = [tool, config, checkpoint, '--split', 'val', '--folds', 2]
    run(sys.executable, *command, '--out', tmp_path / 'one.pth', '--work-dir', tmp_path / 'w1')
    launch = [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc_per_node', 2]
    two = ['--out', tmp_path / 'two.pth', '--work-dir', tmp_path / 'w2', '--launcher', 'pytorch']
    printed = run(*launch, *command, *two)
    assert printed.count('stored 4 thresholds') == 1
    one, two = (read(tmp_path / f'{n}.pth')['meta']['thresholds'] for n in ('one', 'two'))
    # batches of other sizes round differently
    assert one.pop('values') == pytest.approx(two.pop('values'), abs=1e-5)
    assert one | dict(date='') == two | dict(date='')


def test_tested_on_another_split_only(trained, copied, tmp_path, capsys):
    config, checkpoint = copied
    options = ['--weights', 'ema', '--tuned-thresholds', '--work-dir', tmp_path / 't']
    message = 'no thresholds of its own: store some with tools/analysis_tools/tune_thresholds.py'
    assert message in refusal(capsys, run_test, config, checkpoint, *options)
    store_thresholds(checkpoint, dict(classes=CLASSES, values=[0.5]))
    message = '1 thresholds for 4 classes: fit them again with tools/analysis_tools/tune_thresholds'
    assert message in refusal(capsys, run_test, config, checkpoint, *options)
    tune(config, checkpoint, '--split', 'val', '--folds', 2, '--work-dir', tmp_path / 'w')
    message = 'another split (--cfg-options test_dataloader.dataset.ann_file='
    assert message in refusal(capsys, run_test, config, checkpoint, *options)
    dataset = 'test_dataloader.dataset'  # the training images
    ann_file = f'{dataset}.ann_file=annotations/instances_train2017.json'
    options += ['--cfg-options', ann_file, f'{dataset}.data_prefix=train2017']
    metrics = run_test(config, checkpoint, *options, '--out', tmp_path / 'o.pkl')
    samples = pickle.loads((tmp_path / 'o.pkl').read_bytes())
    values = read(checkpoint)['meta']['thresholds']['values']
    hits = predicted = positives = 0
    for sample in samples:
        labels = set(sample['gt_label'].tolist())
        chosen = {c for c, s in enumerate(sample['pred_score'].tolist()) if s >= values[c]}
        hits += len(labels & chosen)
        predicted += len(chosen)
        positives += len(labels)
    assert metrics['coco/OF1'] == pytest.approx(100 * 2 * hits / (predicted + positives))
    options.append('test_evaluator.type=MultiLabelMetric')
    assert 'has no MultiLabelMAP' in refusal(capsys, run_test, config, checkpoint, *options)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['--split', 'val', '--precision', 1.5], 'must be in (0, 1], but got 1.5'),
        (['--split', 'val', '--folds', 1], '--folds must be at least 2'),
        (['--split', 'val', '--folds', 8], '7 images cannot be split into 8 folds'),
        (['--split', 'val', '--seed', -1], '--seed not negative'),
        (['--split', 'val', '--dry-run', '--out', 'b.pth'], 'not allowed with argument'),
        (['--split', 'val', '--out', 'absent/b.pth'], 'no folder'),
    ],
)
def test_errors_are_short(trained, tmp_path, capsys, options, message):
    config, checkpoint, _, _ = trained
    before = checkpoint.read_bytes()
    assert message in refusal(capsys, tune, config, checkpoint, *options, '--work-dir', tmp_path)
    assert checkpoint.read_bytes() == before


def test_other_classes_and_heads(trained, tmp_path, capsys):
    config, checkpoint, _, _ = trained
    content = read(checkpoint)
    options = ['--split', 'val', '--folds', 2, '--work-dir', tmp_path / 'w']
    content['meta']['dataset_meta']['classes'] = ['wolf', *CLASSES[1:]]
    torch.save(content, tmp_path / 'a.pth')
    message = "class 0 is 'wolf' in the checkpoint"
    assert message in refusal(capsys, tune, config, tmp_path / 'a.pth', *options)
    # Its advice, where the file of the split has that class.
    file = config.parent / 'coco/annotations/instances_val2017.json'
    annotations = json.loads(file.read_text())
    annotations['categories'].append(dict(id=99, name='wolf'))
    (file.parent / 'wolf.json').write_text(json.dumps(annotations))
    dataset = 'val_dataloader.dataset'
    classes = f'{dataset}.classes=[wolf,bee,cat,dog]'
    advised = ['--cfg-options', f'{dataset}.ann_file=annotations/wolf.json', classes]
    tune(config, tmp_path / 'a.pth', *options, *advised)
    plain = write_tiny_config(config.parent, "model['head']['type'] = 'MLDecoderClsHead'\n")
    message = 'a MLDecoderClsHead predicts one class per image'
    assert message in refusal(capsys, tune, plain, checkpoint, *options)
    assert not list(tmp_path.glob('.a*'))
