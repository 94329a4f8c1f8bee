"""Can the gradients be clipped as the config says?"""

import inspect
from numbers import Number

import torch
from mmengine.optim import OptimWrapper
from torch import nn

from .config_mistake import ConfigMistake, near_names


def check_clip_grad(wrapper: OptimWrapper) -> None:
    """Raise for what the first step would stumble over, or would turn its gradients around for.

    Args:
        wrapper (OptimWrapper): With or without ``clip_grad``.

    Raises:
        ConfigMistake: If torch's function of clipping does not know a key, misses its limit, or
            cannot use a value. A limit must be above 0.
    """
    options = wrapper.clip_grad_kwargs
    if options is None:
        return
    where, name = 'optim_wrapper.clip_grad', wrapper.clip_func.__name__
    _, limit, *others = inspect.signature(wrapper.clip_func).parameters
    for key, value in options.items():
        if key not in (limit, *others):
            raise ConfigMistake(
                f'{where}.{key} = {value!r}: {name} takes no argument {key!r}'
                f'{near_names(key, [limit, *others])}. Correct its name or remove it'
            )
    if limit not in options:
        raise ConfigMistake(f'{where} = {options}: {name} needs {limit}. Add it')
    value = options[limit]
    if isinstance(value, bool) or not isinstance(value, Number) or not value > 0:
        raise ConfigMistake(f'{where}.{limit} = {value!r}: it must be a number above 0')
    weight = nn.Parameter(torch.ones(1))
    weight.grad = torch.ones(1)
    try:
        wrapper.clip_func([weight], **options)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ConfigMistake(f'{where} = {options}: {name} says {error}') from error
