"""Result files of tests: the metrics, and what they were measured with."""

import hashlib
import json
from datetime import datetime
from numbers import Real
from pathlib import Path

import mmengine
import mmpretrain
import msgspec
import torch
from mmengine.config import Config
from mmengine.dist import master_only
from mmengine.runner import Runner

from ...fileio.atomic_write import write_file
from ...version import __version__
from ..hooks.ema_hook import DualEMAHook
from ..hooks.test_time_aug import TestTimeAugHook

# Settings that leave the metrics as they are.
_OTHER_KEYS = {
    *('data_root', 'data_prefix', 'ann_file', 'split', 'lazy_init', 'init_cfg', 'train_cfg'),
    *('per_class', 'with_f1', 'by_size', 'thr', 'topk', 'collect_device'),
}


class FinishedTest(msgspec.Struct, frozen=True):
    """One run of ``tools/test.py``."""

    config: str  # as on the command line
    checkpoint: str  # as on the command line: a file, or an address
    # 'ema' or 'raw', to which metrics without _raw belong; 'single' of one set of weights
    weights: str
    metrics: dict[str, float | None]  # by name, such as coco/mAP in percent; None for nan
    images: int  # their number
    settings: str  # settings_digest of the config with its options
    date: datetime  # when the test ended, with the time zone
    versions: dict[str, str]  # of this package, MMPretrain, MMEngine and torch
    tta: bool = False  # whether scores are averages over several views; older files lack it


def settings_digest(cfg: Config) -> str:
    """Return 16 hex digits that change with each setting that may change a test's metrics."""
    full = cfg.to_dict()
    parts = [full['model'], full.get('data_preprocessor'), full['test_evaluator']]
    parts.append(full['test_dataloader']['dataset'])
    text = json.dumps(_without_other_keys(parts), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _without_other_keys(value):
    if isinstance(value, dict):
        return {k: _without_other_keys(v) for k, v in value.items() if k not in _OTHER_KEYS}
    if isinstance(value, list | tuple):
        return [_without_other_keys(item) for item in value]
    return value


@master_only
def write_finished_test(
    runner: Runner, cfg: Config, config: str, checkpoint: str, metrics: dict
) -> None:
    """Write ``test_<time>.json`` into the work dir of a runner after its test, on the main process.

    Of the metrics scalars are kept.
    """
    hook = next((hook for hook in runner.hooks if isinstance(hook, DualEMAHook)), None)
    has_both = hook is not None and hook.has_both
    test = FinishedTest(
        config=str(config),
        checkpoint=str(checkpoint),
        weights=(hook.test_weights or 'ema') if has_both else 'single',
        metrics={name: float(v) for name, v in metrics.items() if isinstance(v, Real)},
        images=len(runner.test_dataloader.dataset),
        settings=settings_digest(cfg),
        date=datetime.now().astimezone().replace(microsecond=0),
        versions=dict(
            mmpretrain_mldecoder=__version__,
            mmpretrain=mmpretrain.__version__,
            mmengine=mmengine.__version__,
            torch=str(torch.__version__),
        ),
        tta=any(isinstance(hook, TestTimeAugHook) for hook in runner.hooks),
    )
    file = Path(runner.work_dir, f'test_{runner.timestamp}.json')
    write_file(file, msgspec.json.format(msgspec.json.encode(test)))


def read_finished_test(path: Path) -> FinishedTest:
    """Load what :func:`write_finished_test` wrote; raises ``ValueError`` for anything else."""
    try:
        test = msgspec.json.decode(path.read_bytes(), type=FinishedTest)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f'{path} is not the result of a test: {error}') from error
    if test.date.tzinfo is None:
        raise ValueError(f'{path} is not the result of a test: its date has no time zone')
    return test
