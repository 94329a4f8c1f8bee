"""Test at the thresholds that a checkpoint carries."""

from mmengine.config import Config

from ...checkpoints.load import load_weights_only
from .split_scores import image_source
from .stored_thresholds import stored_thresholds


def use_stored_thresholds(cfg: Config, checkpoint: str) -> None:
    """Let the metric of a test report its F1s at the thresholds of the checkpoint.

    Args:
        cfg (Config): With ``MultiLabelMAP`` as (one of) its ``test_evaluator``; changed in place.
        checkpoint (str): A file on this machine.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the checkpoint has no (sound) thresholds, if they were fitted to the images
            of this very test, or there is no ``MultiLabelMAP``.
    """
    if '://' in checkpoint:
        raise ValueError(f'{checkpoint} is an address: download the file to read its thresholds')
    content = load_weights_only(checkpoint, map_location='cpu')
    meta = content.get('meta') if isinstance(content, dict) else None
    stored = meta.get('thresholds') if isinstance(meta, dict) else None
    # Whether these are the classes of the test, the metric looks at: it knows its dataset.
    classes = (stored.get('classes') if isinstance(stored, dict) else None) or []
    values = stored_thresholds(meta, classes)
    if stored.get('source') == image_source(cfg, 'test'):
        raise ValueError(
            'the thresholds of the checkpoint were fitted to the images of this test: they gain '
            'there by construction, and a number would say nothing. Test another split '
            '(--cfg-options test_dataloader.dataset.ann_file=...); held-out numbers of this one '
            'are what tune_thresholds.py prints'
        )
    evaluators = cfg.test_evaluator
    evaluators = evaluators if isinstance(evaluators, list | tuple) else [evaluators]
    metrics = [e for e in evaluators if str(e['type']).rpartition('.')[2] == 'MultiLabelMAP']
    if not metrics:
        raise ValueError('the test_evaluator has no MultiLabelMAP to report F1 at thresholds')
    for metric in metrics:
        metric.thr = dict(zip(classes, values.tolist(), strict=True))
        metric.with_f1 = True
