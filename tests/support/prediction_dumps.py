"""Files as ``tools/test.py --out`` writes them, of given scores, and a config of their classes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from mmpretrain.structures import DataSample

from mmpretrain_mldecoder.evaluation.metrics.dump_results import AtomicDumpResults


def write_dump(
    path: Path,
    scores: np.ndarray,
    targets: np.ndarray,
    raw: np.ndarray | None = None,
    images: Sequence[str] | None = None,
    areas: float | None = None,
    classes: Sequence[str] | None = None,
) -> Path:
    """Dump through the hook's own class; ``areas``: one object of that area for each positive."""
    metric = AtomicDumpResults(str(path))
    metric.dataset_meta = dict(classes=classes)
    for i, (row, target) in enumerate(zip(scores, targets, strict=True)):
        sample = dict(
            sample_idx=i,
            img_path=images[i] if images is not None else f'photos/{i:06d}.jpg',
            pred_score=torch.as_tensor(row),
            ori_shape=(48, 64),
        )
        if (target == -1).any():
            sample['gt_score'] = torch.as_tensor(target)
        else:
            sample['gt_label'] = torch.as_tensor(np.flatnonzero(target))
        if areas is not None:
            sample['instance_labels'] = np.flatnonzero(target == 1)
            sample['instance_areas'] = np.full((target == 1).sum(), areas, np.float32)
        metric.process(None, [sample])
        if raw is not None:
            metric.add_raw([DataSample().set_pred_score(torch.as_tensor(raw[i]))])
    metric.evaluate(size=len(scores))
    return path


def write_classes_config(path: Path, classes: Sequence[str], data_root: str = '') -> Path:
    """A config that knows the classes of its test, and perhaps where its images lie."""
    path.write_text(
        "custom_imports = dict(imports=['mmpretrain_mldecoder'], allow_failed_imports=False)\n"
        f"test_dataloader = dict(dataset=dict(type='COCOMultiLabel', ann_file='absent.json',"
        f' pipeline=[], data_root={data_root!r}, classes={list(classes)!r}))\n',
        encoding='utf-8',
    )
    return path


def random_run(
    num_images: int, num_classes: int, seed: int = 0, steps: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Scores that know something of the targets; with ``steps``, on a grid, so that many tie."""
    random = np.random.default_rng(seed)
    frequency = np.geomspace(0.3, 0.01, num_classes)
    targets = (random.random((num_images, num_classes)) < frequency).astype(np.int8)
    logits = random.normal(2.2 * targets - 1.4, 1.2)
    scores = 1 / (1 + np.exp(-logits))
    if steps:
        scores = np.round(scores * steps) / steps
    return scores.astype(np.float32), targets
