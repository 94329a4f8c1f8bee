"""Experiment trackers: back ends that a command line adds, and the metrics of tests for them."""

import os
from datetime import datetime
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from mmengine.config import Config
from mmengine.hooks import Hook
from mmpretrain.registry import HOOKS

from ...errors import ConfigError

TRACKERS = dict(
    tensorboard='TensorboardVisBackend',
    wandb='WandbVisBackend',
    mlflow='MLflowVisBackend',
    clearml='ClearMLVisBackend',
)
"""The back end for the package of each tracker."""


def add_tracker(cfg: Config, name: str) -> None:
    """Have a run write its scalars to a tracker, one of ``TRACKERS``, too, unless it does already.

    The config, of a training or test, has its ``work_dir``. Raises :class:`ConfigError` if the
    package is not installed.
    """
    if find_spec(name) is None:
        raise ConfigError(f'--log {name} needs the package {name}: pip install {name}')
    local = dict(type='UniversalVisualizer', vis_backends=[dict(type='LocalVisBackend')])
    visualizer = cfg.get('visualizer') or local
    backends = list(visualizer.get('vis_backends') or local['vis_backends'])
    if all(backend['type'] != TRACKERS[name] for backend in backends):
        backends.append(dict(type=TRACKERS[name], **_arguments(name, Path(cfg.work_dir).name)))
    cfg.visualizer = dict(visualizer, vis_backends=backends)


def _arguments(tracker: str, run: str) -> dict:
    """Return what the host's back end needs to work as the tracker's own documentation has it."""
    if tracker == 'wandb':
        return dict(init_kwargs=dict(name=run))
    if tracker == 'mlflow':
        # The host's default is a folder of files in the work dir, which MLflow 3 refuses.
        uri = import_module('mlflow').get_tracking_uri()
        experiment = os.environ.get('MLFLOW_EXPERIMENT_NAME', run)
        # Its own names are random, and the same in all runs with one seed.
        own_name = f'{run} {datetime.now():%Y-%m-%d %H:%M:%S}'
        return dict(tracking_uri=uri, exp_name=experiment, run_name=own_name)
    if tracker == 'clearml':
        # A task would set its own seed, and register each checkpoint by its temporary name; a test
        # would take the place of the training's, and upload its checkpoints once more.
        import_module('clearml').Task.set_random_seed(None)
        task = dict(project_name='mmpretrain_mldecoder', task_name=run, reuse_last_task_id=False)
        task['auto_connect_frameworks'] = dict(pytorch=False)
        return dict(init_kwargs=task, artifact_suffix='.py')
    return {}


@HOOKS.register_module()
class TestScalarsHook(Hook):
    """Give the metrics of a test to the visualizer; MMEngine writes them to the log only.

    Their names start with ``test/``; the step is the epoch of the checkpoint, or its iteration if
    the training counted those. ``PortableRunner`` adds this hook.
    """

    __test__ = False  # for pytest
    priority = 'LOW'  # after the hooks that add metrics
    _step = 0

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        meta = checkpoint.get('meta') or {}
        self._step = int(meta.get('epoch') or meta.get('iter') or 0)

    def after_test_epoch(self, runner, metrics: dict | None = None) -> None:
        numbers = {f'test/{name}': value for name, value in (metrics or {}).items()}
        runner.visualizer.add_scalars(numbers, step=self._step)
