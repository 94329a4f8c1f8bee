"""The config of a run, and what is chosen for it."""

from urllib.error import URLError

import pytest
import torch
from classifiers import build_without_weights
from mmengine.config import Config

from mmpretrain_mldecoder.checkpoints import download
from mmpretrain_mldecoder.models.attention import attention_kind
from mmpretrain_mldecoder.start import run_config
from mmpretrain_mldecoder.start.run_config import ROWS, choose, config_text, fits_memory


def values(choices):
    return {name: choice.value for name, choice in choices.items()}


@pytest.mark.parametrize(
    ('images', 'batch', 'epochs'), [(12, 8, 40), (100, 8, 40), (400, 32, 25), (9000, 32, 5)]
)
def test_small_data_gets_small_batches_and_many_epochs(images, batch, epochs):
    chosen = values(choose(images, 7))
    assert (chosen['batch_size'], chosen['epochs']) == (batch, epochs)
    rate = Config.fromfile(ROWS / f'{chosen["row"]}.py').optim_wrapper.optimizer.lr
    assert chosen['lr'] == pytest.approx(rate * batch / 32, rel=0.01)
    steps = epochs * -(-images // batch)
    assert 1 / (1 - chosen['ema_decay']) <= steps / 5
    assert chosen['num_groups'] == 7


@pytest.mark.parametrize(
    ('images', 'classes', 'frozen', 'fine_tuned'),
    [
        (500, 2, 'csra', 'mldecoder'),
        (1999, 3, 'csra', 'mldecoder'),
        (2000, 20, 'mldecoder', 'mldecoder'),
        (1900, 20, 'csra', 'mldecoder'),
        (4500, 374, 'csra', 'csra'),
        (40000, 374, 'mldecoder', 'mldecoder'),
    ],
)
def test_few_images_or_few_of_a_class_get_csra(images, classes, frozen, fine_tuned, monkeypatch):
    assert values(choose(images, classes))['row'] == f'{frozen}_lite2_frozen'
    monkeypatch.setattr(run_config, 'get_device', lambda: 'cuda')
    monkeypatch.setattr(run_config, 'find_published', lambda _: None)
    monkeypatch.setattr(run_config, 'fits_memory', lambda row, batch: True)
    assert values(choose(images, classes))['row'] == f'{fine_tuned}_r50vd_ssld'


def test_what_is_asked_for_is_taken():
    chosen = values(choose(500, 300, row='linear_lite0', epochs=3, batch_size=10))
    assert (chosen['row'], chosen['epochs'], chosen['batch_size']) == ('linear_lite0', 3, 10)
    assert chosen['num_groups'] == 100


@pytest.mark.parametrize('row', sorted(path.stem for path in ROWS.glob('*.py')))
def test_config_is_one_that_trains(row, tmp_path):
    path = tmp_path / 'config.py'
    data, labels = tmp_path / "a 'quoted' folder", tmp_path / 'labels'
    path.write_text(config_text(choose(500, 3, row=row), {}, 3, data, tmp_path))
    assert len(path.read_text().splitlines()) <= 35

    cfg = Config.fromfile(path)
    for split in ('train', 'val', 'test'):
        dataset = cfg[f'{split}_dataloader'].dataset
        assert dataset.type == 'COCOMultiLabel'
        assert dataset.data_root == str(data)
        assert dataset.ann_file == str(labels / f'{split}.json')
    assert cfg.default_hooks.logger.interval in (10, 100)
    # Of a head on frozen features the last epoch counts.
    frozen = cfg.model.backbone.get('frozen', False)
    stopping = set() if frozen else {'EarlyStoppingHook'}
    hooks = {'IterSeedHook', 'DualEMAHook', 'LivePageHook'} | stopping
    assert {hook.type for hook in cfg.custom_hooks} == hooks
    assert (cfg.default_hooks.checkpoint.save_best is None) == frozen
    assert cfg.model.backbone.get('cache_dir') == (str(tmp_path / 'features') if frozen else None)
    model = build_without_weights(cfg.model)
    assert model(torch.empty(1, 3, 64, 64, device='meta')).shape == (1, 3)
    assert attention_kind(model) is not None  # which the report shows


def test_batch_size_is_halved_until_a_step_fits(monkeypatch):
    tried = []
    monkeypatch.setattr(run_config, 'get_device', lambda: 'cuda')
    monkeypatch.setattr(run_config, 'find_published', lambda _: None)
    monkeypatch.setattr(
        run_config, 'fits_memory', lambda row, batch: tried.append((row, batch)) or batch <= 8
    )
    chosen = choose(5000, 3)
    assert tried == [('mldecoder_r50vd_ssld', batch) for batch in (32, 16, 8)]
    assert chosen['batch_size'].value == 8
    assert 'memory' in chosen['batch_size'].reason
    assert chosen['log_interval'].value == 100


@pytest.mark.parametrize(('classes', 'head'), [(3, 'mldecoder'), (101, 'csra')])
def test_without_a_download_the_weights_are_those_of_the_package(
    classes, head, monkeypatch, capsys, tmp_path
):
    monkeypatch.setattr(run_config, 'get_device', lambda: 'cuda')
    monkeypatch.setattr(run_config, 'fits_memory', lambda row, batch: True)
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    monkeypatch.setattr(download, 'urlopen', refuse_connection)
    chosen = choose(5000, classes)
    assert chosen['row'].value == f'{head}_lite0'
    assert 'cannot be downloaded' in chosen['row'].reason
    assert 'ResNet50_vd_ssld_pretrained.pdparams' in capsys.readouterr().out


def refuse_connection(*args, **kwargs):
    """Behave as a machine without a network."""
    raise URLError('Name or service not known')


def test_memory_that_runs_out_is_seen(monkeypatch):
    def run_out(*args, **kwargs):
        raise torch.OutOfMemoryError('CUDA out of memory')

    monkeypatch.setattr(run_config.MODELS, 'build', run_out)
    assert not fits_memory('mldecoder_lite0', 32)


def test_a_step_that_fits(monkeypatch):
    """On the CPU, with the smallest network."""
    assert fits_memory('linear_lite0', 1)
