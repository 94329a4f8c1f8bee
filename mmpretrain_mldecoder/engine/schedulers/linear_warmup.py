"""A linear warm-up that takes the steps it is given."""

from mmengine.optim import LinearLR
from mmengine.optim.scheduler.param_scheduler import INF
from mmpretrain.registry import PARAM_SCHEDULERS


@PARAM_SCHEDULERS.register_module()
class LinearWarmupLR(LinearLR):
    """MMEngine's ``LinearLR``, which reaches ``end_factor`` at step ``end`` and not one earlier.

    Step ``t`` from ``begin`` on has ``start_factor + (end_factor - start_factor) * t / (end -
    begin)`` times the optimiser's rate, as in torch and PaddlePaddle. A schedule with ``begin=end``
    of this one goes on from there, if it is listed after it.

    Args:
        optimizer (Optimizer | OptimWrapper): The optimiser.
        begin (int): First step. Defaults to 0.
        end (int): Step that has ``end_factor``. Defaults to INF, which is of no use.
        **kwargs: As in ``LinearLR``: ``start_factor``, ``end_factor``, ``by_epoch``, ...

    Example:
        >>> param_scheduler = [
        ...     dict(type='LinearWarmupLR', start_factor=0.01, by_epoch=True, begin=0, end=5,
        ...          convert_to_iter_based=True),
        ...     dict(type='CosineAnnealingLR', T_max=35, by_epoch=True, begin=5, end=40,
        ...          convert_to_iter_based=True)]
    """

    def __init__(self, optimizer, *, begin: int = 0, end: int = INF, **kwargs):
        super().__init__(optimizer, begin=begin, end=end + 1, **kwargs)
