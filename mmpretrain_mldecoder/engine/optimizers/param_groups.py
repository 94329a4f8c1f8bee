"""Parameter groups of the recipes: no weight decay on 1-D parameters."""

from mmengine.model import is_model_wrapper
from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper
from mmpretrain.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS, OPTIMIZERS
from torch import nn


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class NoDecay1DConstructor(DefaultOptimWrapperConstructor):
    """Build the optimiser with two parameter groups, in this order.

    1. Parameters of two and more dimensions (weights), with the optimiser's ``weight_decay``.
    2. The others (biases, weights of norms, scalars), with ``weight_decay=0``.

    Frozen parameters are in neither; a shared parameter is in one once.

    Args:
        optim_wrapper_cfg (dict): As in MMEngine: ``optimizer`` and the arguments of the wrapper.
        paramwise_cfg (dict, optional): Must be None or empty.

    Raises:
        ValueError: If there is a ``paramwise_cfg``, or when called, if nothing is trainable.

    Example:
        >>> optim_wrapper = dict(
        ...     optimizer=dict(type='Adam', lr=1e-4, weight_decay=1e-4),
        ...     constructor='NoDecay1DConstructor')
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None):
        if paramwise_cfg:
            raise ValueError(
                f'NoDecay1DConstructor takes no paramwise_cfg, but got {dict(paramwise_cfg)}. '
                'Leave it out, or use constructor="DefaultOptimWrapperConstructor" (its '
                'flat_decay_mult=0 also spares 1-D parameters).'
            )
        super().__init__(optim_wrapper_cfg)

    def __call__(self, model: nn.Module) -> OptimWrapper:
        if is_model_wrapper(model):
            model = model.module
        trainable = [p for p in model.parameters() if p.requires_grad]
        if not trainable:
            raise ValueError(f'{type(model).__name__} has no trainable parameter to optimise')
        groups = [
            dict(params=[p for p in trainable if p.ndim >= 2]),
            dict(params=[p for p in trainable if p.ndim < 2], weight_decay=0.0),
        ]
        optimizer = OPTIMIZERS.build(dict(self.optimizer_cfg, params=groups))
        wrapper_cfg = {'type': 'OptimWrapper', **self.optim_wrapper_cfg}
        return OPTIM_WRAPPERS.build(wrapper_cfg, default_args=dict(optimizer=optimizer))
