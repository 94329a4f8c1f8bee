import json
import re
import sys
from types import ModuleType, SimpleNamespace

import pytest
from mmengine.config import Config
from mmengine.registry import VISBACKENDS
from mmengine.visualization import BaseVisBackend
from tiny_run import load_tool, refusal, write_tiny_config

from mmpretrain_mldecoder.engine.runners import trackers
from mmpretrain_mldecoder.engine.runners.trackers import TRACKERS, add_tracker
from mmpretrain_mldecoder.errors import ConfigError
from mmpretrain_mldecoder.visualization import read_scalars

run_train, run_test = load_tool('train'), load_tool('test')


@VISBACKENDS.register_module()
class ListVisBackend(BaseVisBackend):
    """Keeps what it gets, in place of a tracker's back end."""

    calls: list = []
    experiment = None

    def __init__(self, save_dir):
        super().__init__(save_dir)

    def _init_env(self):
        pass

    def add_scalars(self, scalar_dict, step=0, file_path=None, **kwargs):
        self.calls.append((step, scalar_dict))


def test_metrics_of_training_and_test_arrive(tmp_path, monkeypatch):
    monkeypatch.setattr(trackers, 'find_spec', lambda name: True)
    monkeypatch.setitem(TRACKERS, 'tensorboard', 'ListVisBackend')
    monkeypatch.setattr(ListVisBackend, 'calls', [])
    config, run = write_tiny_config(tmp_path, "train_cfg['max_epochs'] = 2\n"), tmp_path / 'run'
    run_train(config, '--work-dir', run, '--log', 'tensorboard')
    losses = [step for step, scalars in ListVisBackend.calls if 'loss' in scalars]
    assert losses == [1, 2, 3, 4, 5, 6]
    validations = [(s, scalars) for s, scalars in ListVisBackend.calls if 'coco/mAP' in scalars]
    assert [step for step, _ in validations] == [1, 2]
    # beside the local log, from which the curves are drawn
    training, validation = read_scalars(run)
    assert [record['step'] for record in training] == losses
    ListVisBackend.calls.clear()
    metrics = run_test(config, run / 'epoch_2.pth', '--work-dir', run, '--log', 'tensorboard')
    assert ListVisBackend.calls == [(2, {f'test/{name}': v for name, v in metrics.items()})]
    assert metrics['coco/mAP'] == pytest.approx(validations[-1][1]['coco/mAP'])
    # a test is no validation of the training in whose folder it lies
    assert read_scalars(run) == (training, validation)
    *_, last = sorted(run.glob('*/vis_data/scalars.json'))
    assert json.loads(last.read_text()) == ListVisBackend.calls[0][1] | dict(step=2)


@pytest.mark.parametrize('name', TRACKERS)
def test_what_to_install_is_said_in_one_line(tmp_path, capsys, monkeypatch, name):
    monkeypatch.setattr(trackers, 'find_spec', lambda name: None)
    said = refusal(capsys, run_train, write_tiny_config(tmp_path), '--log', name)
    assert said.endswith(f'--log {name} needs the package {name}: pip install {name}')
    with pytest.raises(ConfigError, match=f'pip install {name}'):
        add_tracker(Config(dict(work_dir='a')), name)


@pytest.mark.parametrize('visualizer', [None, dict(type='Visualizer', name='mine')])
def test_configs_keep_what_they_have(monkeypatch, visualizer):
    monkeypatch.setattr(trackers, 'find_spec', lambda name: True)
    cfg = Config(dict(work_dir='work_dirs/a', visualizer=visualizer))
    for name in ('wandb', 'tensorboard', 'wandb'):
        add_tracker(cfg, name)
    kinds = [backend.type for backend in cfg.visualizer.vis_backends]
    assert kinds == ['LocalVisBackend', 'WandbVisBackend', 'TensorboardVisBackend']
    assert cfg.visualizer.vis_backends[1].init_kwargs == dict(name='a')
    assert cfg.visualizer.type == ('Visualizer' if visualizer else 'UniversalVisualizer')


def test_arguments_that_trackers_need(monkeypatch):
    monkeypatch.setattr(trackers, 'find_spec', lambda name: True)
    seeds = []
    packages = dict(
        mlflow=dict(get_tracking_uri=lambda: 'sqlite:///there.db'),
        clearml=dict(Task=SimpleNamespace(set_random_seed=seeds.append)),
    )
    for name, attributes in packages.items():
        module = ModuleType(name)
        vars(module).update(attributes)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.delenv('MLFLOW_EXPERIMENT_NAME', raising=False)
    cfg = Config(dict(work_dir='work_dirs/a'))
    add_tracker(cfg, 'mlflow')
    add_tracker(cfg, 'clearml')
    _, mlflow, clearml = cfg.visualizer.vis_backends
    assert (mlflow.tracking_uri, mlflow.exp_name) == ('sqlite:///there.db', 'a')
    assert re.fullmatch(r'a \d{4}-\d\d-\d\d \d\d:\d\d:\d\d', mlflow.run_name)
    # A task sets a seed of its own otherwise, which is not that of the config.
    assert seeds == [None] and clearml.init_kwargs.task_name == 'a'
