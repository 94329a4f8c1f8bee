import pytest
import torch
from mmengine.dataset import default_collate
from mmengine.hooks import Hook
from mmpretrain.structures import DataSample
from tiny_run import build_runner, read_log, write_tiny_config

from mmpretrain_mldecoder.engine.hooks.test_time_aug import tta_pipeline
from mmpretrain_mldecoder.engine.runners.portable import Parts, collate_by_size
from mmpretrain_mldecoder.errors import ConfigError, RunError

# Images of several sizes, and nothing that makes them equal.
SIZES = 'del test_pipeline[1], train_pipeline[1]\n'


class _Scores(Hook):
    def __init__(self):
        self.scores = []

    def after_test_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.scores += [sample.pred_score for sample in outputs]


def _samples(*widths: int) -> list[dict]:
    return [
        dict(inputs=torch.full((3, 2, width), index), data_samples=DataSample().set_gt_label(index))
        for index, width in enumerate(widths)
    ]


def test_images_of_one_size_are_collated_as_ever():
    samples = _samples(4, 4)
    batch = collate_by_size(samples)
    assert torch.equal(batch['inputs'], default_collate(samples)['inputs'])


@pytest.mark.parametrize('views', [False, True])
@pytest.mark.parametrize('widths', [(4, 5), (4, 4, 5, 5, 4), (4, 5, 6)])
def test_parts_are_the_batch_in_its_order(widths, views):
    samples = _samples(*widths)
    if views:  # of test-time augmentation: the image and a smaller one
        for sample in samples:
            sample['inputs'] = [sample['inputs'], sample['inputs'][..., 1:]]
            sample['data_samples'] = [sample['data_samples']] * 2
    parts = collate_by_size(samples)
    assert isinstance(parts, Parts)
    batches = [{k: v[0] if views else v for k, v in part.items()} for part in parts]
    flat = [(image.shape[-1], int(image.max())) for part in batches for image in part['inputs']]
    assert flat == list(zip(widths, range(len(widths)), strict=True))
    labels = [int(sample.gt_label) for part in batches for sample in part['data_samples']]
    assert labels == list(range(len(widths)))


@pytest.mark.parametrize('collate', ['default_collate', 'pseudo_collate'])
@pytest.mark.parametrize('tta', [False, True])
def test_scores_do_not_depend_on_the_batch_size(tmp_path, collate, tta):
    config, scores = write_tiny_config(tmp_path, SIZES), []
    more = dict(custom_hooks=[])
    if tta:
        pipeline = tta_pipeline([dict(type='LoadImageFromFile'), dict(type='PackInputs')])
        hook = dict(type='TestTimeAugHook', tta_model=dict(type='MultiLabelTTA'))
        more = {'custom_hooks': [hook], 'test_dataloader.dataset.pipeline': pipeline}
    for size in (1, 7):
        options = {'batch_size': size, 'collate_fn.type': collate}
        options = {f'test_dataloader.{key}': value for key, value in options.items()}
        runner = build_runner(config, tmp_path / str(size), **options, **more)
        torch.manual_seed(0)
        for weight in runner.model.parameters():
            torch.nn.init.normal_(weight, std=0.1)
        runner.register_hook(hook := _Scores())
        runner.test()
        scores.append(torch.stack(hook.scores))
    assert len(scores[0]) == 7
    torch.testing.assert_close(*scores)


def test_a_training_that_pads_says_so(tmp_path):
    config = write_tiny_config(tmp_path, SIZES)
    for batch_size in (2, 1):
        options = {'train_cfg.max_epochs': 1, 'train_dataloader.collate_fn.type': 'pseudo_collate'}
        options |= {'train_dataloader.batch_size': batch_size, 'model.backbone.norm_eval': True}
        work_dir = tmp_path / str(batch_size)
        build_runner(config, work_dir, param_scheduler=None, **options).train()
        assert ('padded to the largest of a batch' in read_log(work_dir)) == (batch_size == 2)


@pytest.mark.parametrize('check', [True, False])
def test_a_training_of_several_sizes_ends_in_one_line(tmp_path, check):
    """At the start, or where the images of one batch differ for the first time."""
    config = write_tiny_config(tmp_path, SIZES)
    runner = build_runner(config, tmp_path / 'run', check_config=check)
    message = r'train_dataloader: .* several sizes, .*dataset\.pipeline before .*SquareResize'
    with pytest.raises(ConfigError if check else RunError, match=message):
        runner.train()
