from contextlib import nullcontext

import pytest
from mmpretrain.evaluation import AveragePrecision
from tiny_run import build_runner

from mmpretrain_mldecoder.errors import ConfigError


@pytest.mark.parametrize('error', [IndexError, KeyError])
def test_a_metric_that_needs_more_images_is_no_error(folder, tmp_path, monkeypatch, error):
    """Unlike one that needs another field, which no number of images brings."""
    compute = AveragePrecision.compute_metrics

    def needs_more(self, results):
        if len(results) < 7:
            raise error('few')
        return compute(self, results)

    monkeypatch.setattr(AveragePrecision, 'compute_metrics', needs_more)
    options = {'val_evaluator': dict(_delete_=True, type='AveragePrecision'), 'custom_hooks': []}
    runner = build_runner(folder / 'tiny.py', tmp_path, **options, **{'train_cfg.max_epochs': 1})
    with nullcontext() if error is IndexError else pytest.raises(ConfigError, match='KeyError'):
        runner.train()
