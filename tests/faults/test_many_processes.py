"""Several processes test and train as one does: real processes, on the CPU (gloo)."""

import json
import pickle
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from fake_coco import write_coco
from gloo_ranks import in_processes
from mmengine.hooks import Hook
from tiny_run import (
    ROOT,
    assert_same_training,
    build_runner,
    free_port,
    load_tool,
    run,
    write_tiny_config,
)
from torch import nn

from mmpretrain_mldecoder.engine.distributed import CPUSyncBatchNorm

pytestmark = pytest.mark.faults

run_train, run_test = load_tool('train'), load_tool('test')

_METRICS = """
test_evaluator = dict(type='MultiLabelMAP', by_size=True, with_f1=True, topk=2)
test_pipeline[-1]['type'] = 'PackMultiLabelInputs'
"""


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A config with 81 images to test, and a checkpoint with both weights."""
    folder = tmp_path_factory.mktemp('many')
    write_coco(folder / 'coco', dict(train=12, val=81))
    config = write_tiny_config(folder, _METRICS)
    run_train(config, '--work-dir', folder / 'run', '--cfg-options', 'train_cfg.max_epochs=1')
    return config, folder / 'run' / 'epoch_1.pth'


def read_test(folder: Path) -> tuple[dict, list[dict]]:
    """Read the numbers of a test and its predictions."""
    (numbers,) = folder.glob('test_*.json')
    return json.loads(numbers.read_text()), pickle.loads((folder / 'out.pkl').read_bytes())


@pytest.mark.parametrize(
    ('num_images', 'batch', 'world_sizes'),
    [
        (80, 7, (2, 3, 4)),
        (81, 4, (1, 2, 3, 4)),
        (3, 2, (4,)),  # fewer images than processes
    ],
)
@pytest.mark.parametrize('round_up', [True, False])
def test_any_number_of_processes_gives_the_same_numbers(
    trained, tmp_path, num_images, batch, world_sizes, round_up
):
    # round_up=True repeats images until all processes have as many; False leaves one with fewer,
    # or none
    sampler = f'test_dataloader.sampler.round_up={round_up}'
    subset = f'test_dataloader.dataset.indices={num_images}'
    options = [sampler, subset, f'test_dataloader.batch_size={batch}']

    def arguments(folder: Path) -> list:
        return ['--work-dir', folder, '--out', folder / 'out.pkl', '--cfg-options', *options]

    one = tmp_path / 'one'
    run(sys.executable, ROOT / 'tools' / 'test.py', *trained, *arguments(one))
    numbers, rows = read_test(one)
    # mAP, by size (no object is large) and F1s, of both weights
    assert len(numbers['metrics']) == 30
    script = ROOT / 'tools' / 'dist_test.sh'
    for world_size in world_sizes:
        folder = tmp_path / str(world_size)
        run('bash', script, *trained, world_size, *arguments(folder), PORT=free_port())
        others_numbers, others_rows = read_test(folder)
        assert others_numbers['images'] == num_images
        assert others_numbers['metrics'] == pytest.approx(numbers['metrics'], abs=1e-6)
        assert [row['sample_idx'] for row in others_rows] == list(range(num_images))
        for row, other in zip(rows, others_rows, strict=True):
            assert row['img_path'] == other['img_path']
            for name in ('pred_score', 'pred_score_raw'):
                # batches are of other sizes, for which a library may take another kernel
                torch.testing.assert_close(row[name], other[name], rtol=1e-5, atol=1e-6)


class Losses(Hook):
    """The loss of each step, on this rank."""

    def __init__(self):
        self.losses = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.losses.append(outputs['loss'].item())


def loss_curve(rank, world_size, config, work_dir, options):
    losses = Losses()
    torch.set_default_dtype(torch.float64)
    runner = build_runner(
        config,
        work_dir,
        **{
            'launcher': 'pytorch',
            'model.head.drop_rate': 0.0,
            'train_dataloader.batch_size': 4 // world_size,
            'train_dataloader.num_workers': 0,
            # As the gradient is the mean over processes of a sum over images.
            'model.head.loss.loss_weight': world_size / 2,
            'model.head.loss.type': 'DetachedAsymmetricLoss',
            'train_cfg.val_interval': 9,
            'default_hooks.checkpoint.interval': 9,
            **options,
        },
    )
    model = runner.model.module
    model.backbone.register_forward_pre_hook(lambda module, inputs: (inputs[0].double(),))
    runner.register_hook(losses)
    runner.train()
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    assert all(isinstance(n, CPUSyncBatchNorm) for n in norms) == ('sync_bn' in options)
    return losses.losses, model.state_dict()


def mean_curve(ranks: list) -> torch.Tensor:
    """What the mean over processes was minimised at each step."""
    return torch.tensor([losses for losses, _ in ranks], dtype=torch.float64).mean(dim=0)


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    return write_tiny_config(tmp_path_factory.mktemp('curve'))


@pytest.fixture(scope='module')
def one(config, tmp_path_factory):
    folder = tmp_path_factory.mktemp('one')
    return in_processes(loss_curve, 1, folder / 'ranks', config, folder / 'run', {})


def test_same_global_batch_same_curve(config, one, tmp_path):
    sync = dict(sync_bn='torch')
    two = in_processes(loss_curve, 2, tmp_path / 'ranks', config, tmp_path / 'run', sync)
    # 9 steps of Adam in float64: rounding, which they enlarge, and nothing else
    torch.testing.assert_close(mean_curve(two), mean_curve(one), rtol=1e-8, atol=0)
    for rank in two:
        torch.testing.assert_close(rank[1], one[0][1], rtol=1e-6, atol=1e-8)


def test_each_process_norms_its_own_images_otherwise(config, one, tmp_path):
    two = in_processes(loss_curve, 2, tmp_path / 'ranks', config, tmp_path / 'run', {})
    assert ((mean_curve(two) / mean_curve(one) - 1).abs() > 1e-4).any()


def test_two_machines_are_two_processes(config, tmp_path):
    """NNODES=2, both on this machine: the weights are those of one machine with two processes."""
    script, port = ROOT / 'tools' / 'dist_train.sh', free_port()
    one, two = tmp_path / 'one', tmp_path / 'two'
    run('bash', script, config, 2, '--work-dir', one, PORT=free_port())
    words = ('bash', script, config, '1', '--work-dir', two)
    with ThreadPoolExecutor() as pool:
        nodes = [pool.submit(run, *words, NNODES='2', NODE_RANK=r, PORT=port) for r in '01']
    for node in nodes:
        node.result()
    assert_same_training(one / 'epoch_3.pth', two / 'epoch_3.pth')
