"""Learning rate schedules of the recipes."""

import math
from collections.abc import Sequence

from mmengine.optim import LinearLR, OneCycleLR
from mmengine.optim.scheduler.param_scheduler import INF
from mmpretrain.registry import PARAM_SCHEDULERS


@PARAM_SCHEDULERS.register_module()
class LinearWarmupLR(LinearLR):
    """``LinearLR`` that reaches ``end_factor`` at step ``end`` and not one earlier.

    Step ``t`` from ``begin`` on has ``start_factor + (end_factor - start_factor) * t / (end -
    begin)`` times the optimiser's rate, as in torch and PaddlePaddle. A schedule with ``begin=end``
    of this one continues from there, if it is listed after it. Arguments are ``LinearLR``'s.

    Example:
        >>> param_scheduler = [
        ...     dict(type='LinearWarmupLR', start_factor=0.01, by_epoch=True, begin=0, end=5,
        ...          convert_to_iter_based=True),
        ...     dict(type='CosineAnnealingLR', T_max=35, by_epoch=True, begin=5, end=40,
        ...          convert_to_iter_based=True)]
    """

    def __init__(self, optimizer, *, begin: int = 0, end: int = INF, **kwargs):
        super().__init__(optimizer, begin=begin, end=end + 1, **kwargs)


@PARAM_SCHEDULERS.register_module()
class PlainOneCycleLR(OneCycleLR):
    """``OneCycleLR`` with a state that a weights-only load accepts.

    MMEngine's holds the annealing function, pickled through ``getattr``, which stays out here.

    The learning rate is that of ``torch.optim.lr_scheduler.OneCycleLR(cycle_momentum=False)``, step
    by step; Adam's first beta, which torch's default moves too, stays.

    Args:
        optimizer (Optimizer | OptimWrapper): The optimiser.
        eta_max (float | Sequence[float], optional): Peak learning rate, one for all parameter
            groups or one for each. Defaults to None, the optimiser's own, which alone
            ``auto_scale_lr`` scales.
        **kwargs: As in ``OneCycleLR``: ``total_steps``, ``pct_start``, ``anneal_strategy``,
            ``div_factor``, ``final_div_factor``, ``three_phase``, ``by_epoch``, ... Without
            ``total_steps`` a runner gives it all of the training.

    Example:
        >>> param_scheduler = dict(
        ...     type='PlainOneCycleLR', pct_start=0.2, final_div_factor=4e4,
        ...     by_epoch=True, convert_to_iter_based=True)
    """

    def __init__(self, optimizer, *, eta_max: float | Sequence[float] | None = None, **kwargs):
        if eta_max is None:
            eta_max = [group['lr'] for group in optimizer.param_groups]
        total_steps = kwargs.get('total_steps') or kwargs.get('end', INF) - kwargs.get('begin', 0)
        pct_start = kwargs.setdefault('pct_start', 0.3)
        if pct_start * total_steps == 1:
            # A rise of exactly one step has no length, and MMEngine (as torch) divides by it.
            kwargs['pct_start'] = math.nextafter(pct_start, 1)
        super().__init__(optimizer, eta_max=eta_max, **kwargs)

    def state_dict(self) -> dict:
        state = super().state_dict()
        del state['anneal_func']
        return state
