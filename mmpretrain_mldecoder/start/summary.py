"""What a run ends with: its numbers, and what to do with the model."""

import shlex

from mmengine.config import Config

from ..datasets.label_files import read_split_counts
from ..engine.runners.finished_test import read_finished_test
from .labels import FEW
from .stages import RunFolder


def summary(run: RunFolder) -> str:
    """Return what came out and what to do with it."""
    newest = max((run.path / 'test').rglob('test_*.json'), key=lambda path: path.stat().st_mtime)
    test = read_finished_test(newest)
    names = {'coco/mAP': 'mAP', 'coco/CF1': 'CF1', 'coco/OF1': 'OF1'}
    numbers = ', '.join(
        f'{short} {test.metrics[name]:.2f}'
        for name, short in names.items()
        if test.metrics.get(name) is not None
    )
    pack = Config.fromfile(run.config).test_dataloader.dataset.pipeline[-1]
    is_absent = pack.get('difficult') == 'negative'
    notes = ['Unknown labels counted as absent.'] if is_absent else []
    counts = read_split_counts(run.labels)
    with_ap, positives = counts.with_ap('test', is_absent), counts.positives['test']
    if skipped := int((~with_ap).sum()):
        notes.append(
            f'{skipped:,} of {len(with_ap):,} classes have no AP: no image of test is known to '
            'show them, or to lack them.'
        )
    if few := int((with_ap & (positives < FEW)).sum()):
        notes.append(
            f'{few:,} of {len(with_ap):,} classes have an AP of fewer than {FEW} test images that '
            'show them: other images would give another.'
        )
    config, model = (shlex.quote(str(path)) for path in (run.config, run.model))
    said = '\n'.join([f'{numbers} on {test.images:,} test images that chose nothing.', *notes])
    return f"""
{said}

look at it        {run.path / 'report' / 'index.html'}
predict           mldecoder infer IMAGES {config} {model} --thr tuned --out-dir OUT
without PyTorch   {run.path / 'model.onnx'}
change something  edit a copy of {config}, then: mldecoder train COPY.py"""
