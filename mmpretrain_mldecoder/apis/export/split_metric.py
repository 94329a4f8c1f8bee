"""The metric of a test split for several runtimes at once."""

import copy
from collections.abc import Callable

from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.registry import DefaultScope
from rich.console import Console
from rich.progress import track
from torch import Tensor

from ...engine import PortableRunner

_METRICS = ('mAP', 'accuracy/top1')


def split_metric(
    config: Config, scores_of: dict[str, Callable[[Tensor], Tensor]]
) -> tuple[str, dict[str, float]]:
    """Run the config's test data through each runtime, and evaluate by the config's metric.

    Every picture is read once.

    Args:
        config (Config): With ``test_dataloader`` and ``test_evaluator``.
        scores_of (dict[str, Callable]): For each name, what gives the scores ``(B, C)`` of a batch.

    Returns:
        tuple[str, dict[str, float]]: The metric's name, an mAP or the top-1 accuracy, and its
        value in percent for each name.

    Raises:
        FileNotFoundError: If the data is not there.
        ValueError: If the evaluator gives neither metric.
    """
    loader_config = copy.deepcopy(config.test_dataloader)
    loader_config.update(pin_memory=False, persistent_workers=False)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        loader = PortableRunner.build_dataloader(loader_config, seed=0)
        evaluators = {name: Evaluator(copy.deepcopy(config.test_evaluator)) for name in scores_of}
    for evaluator in evaluators.values():
        evaluator.dataset_meta = loader.dataset.metainfo
    batches = track(loader, 'comparing', console=Console(stderr=True), transient=True)
    for batch in batches:
        for name, evaluator in evaluators.items():
            samples = [sample.clone() for sample in batch['data_samples']]
            for sample, scores in zip(samples, scores_of[name](batch['inputs']), strict=True):
                sample.set_pred_score(scores)
            evaluator.process(samples)
    results = {name: e.evaluate(len(loader.dataset)) for name, e in evaluators.items()}
    first = next(iter(results.values()))
    key = next((key for key in first if key.endswith(_METRICS)), None)
    if key is None:
        raise ValueError(f'test_evaluator gives {", ".join(first)}, but no mAP or top-1 accuracy')
    return key, {name: float(result[key]) for name, result in results.items()}
