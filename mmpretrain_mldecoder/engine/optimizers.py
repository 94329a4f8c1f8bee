"""Optimiser wrappers: weight decay by dimension, and steps that are skipped."""

from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch

import torch
from mmengine.optim import AmpOptimWrapper, DefaultOptimWrapperConstructor, OptimWrapper
from mmpretrain.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS, OPTIMIZERS
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from ..errors import ConfigError
from .distributed import RankVote, unwrapped

_NORMS = (_BatchNorm, _InstanceNorm, nn.GroupNorm, nn.LayerNorm)
# What DefaultOptimWrapperConstructor has for parameters that are never decayed here.
_DECAYS_OF_1D = ('norm_decay_mult', 'bias_decay_mult', 'flat_decay_mult')
_PARAMWISE = (
    'custom_keys',
    'layer_decay_rate',
    'bias_lr_mult',
    'dwconv_decay_mult',
    'bypass_duplicate',
)


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class NoDecay1DConstructor(DefaultOptimWrapperConstructor):
    """Build the optimiser with few parameter groups, and without decay of 1-D parameters.

    1. Parameters of two and more dimensions (weights), with the optimiser's ``weight_decay``.
    2. The others (biases, weights of norms, scalars), with ``weight_decay=0``.
    3. With a ``paramwise_cfg``, one more for each other rate or decay.

    Frozen parameters are in none; a shared parameter is in one once, by its first name. Differs
    from ``DefaultOptimWrapperConstructor`` in: no custom key makes a 1-D parameter decay.

    Args:
        optim_wrapper_cfg (dict): As in MMEngine: ``optimizer`` and the arguments of the wrapper.
        paramwise_cfg (dict, optional): ``custom_keys``, which maps parts of names to dicts of
            ``lr_mult``, ``decay_mult`` and settings of the optimiser (the longest key that is in
            the name of a parameter decides); where none is, ``bias_lr_mult`` (but of norms) and
            ``dwconv_decay_mult``. ``layer_decay_rate`` in (0, 1] multiplies all rates, once for
            each layer between the parameter and the head (``get_layer_depth`` of the backbone);
            what its ``no_weight_decay()`` names, such as position embeddings, is then decayed no
            more than 1-D parameters are. Defaults to None.

    Raises:
        ValueError: If ``paramwise_cfg`` has another key, or asks for the decay of 1-D parameters;
            when called, if nothing is trainable, or the layers of the backbone are not known.

    Example:
        >>> optim_wrapper = dict(
        ...     optimizer=dict(type='Adam', lr=1e-4, weight_decay=1e-4),
        ...     constructor='NoDecay1DConstructor',
        ...     paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.1))))
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None):
        try:
            super().__init__(optim_wrapper_cfg, paramwise_cfg)
        except ValueError as error:  # base_wd should not be None
            raise ValueError(
                f'paramwise_cfg = {paramwise_cfg} multiplies the weight decay: set '
                'optimizer.weight_decay'
            ) from error
        for key, value in self.paramwise_cfg.items():
            if key in _DECAYS_OF_1D and value:
                raise ValueError(
                    f'paramwise_cfg.{key} = {value!r}, but NoDecay1DConstructor decays no 1-D '
                    "parameter: remove it, or set constructor='DefaultOptimWrapperConstructor'"
                )
            if key not in _PARAMWISE + _DECAYS_OF_1D:
                raise ValueError(
                    f'paramwise_cfg.{key} = {value!r}: NoDecay1DConstructor takes '
                    f'{", ".join(_PARAMWISE)}. Correct its name or remove it'
                )
        rate = self.paramwise_cfg.get('layer_decay_rate', 1)
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate <= 1:
            raise ValueError(
                f'paramwise_cfg.layer_decay_rate must be above 0 and at most 1, but got {rate!r}: '
                'published recipes have 0.6 to 0.9'
            )

    def __call__(self, model: nn.Module) -> OptimWrapper:
        model = unwrapped(model)
        groups: list[tuple[dict, list]] = [({}, []), (dict(weight_decay=0.0), [])]
        seen: set[nn.Parameter] = set()
        scales, spared = self._layers(model)
        for prefix, module in model.named_modules():
            for name, param in module.named_parameters(prefix, recurse=False):
                if not param.requires_grad or param in seen:
                    continue
                seen.add(param)
                options = self._options(name, module, param, scales.get(name, 1))
                if param.ndim < 2 or any(fnmatch(name, pattern) for pattern in spared):
                    options['weight_decay'] = 0.0
                members = next((params for own, params in groups if own == options), None)
                if members is None:
                    groups.append((options, members := []))
                members.append(param)
        if not seen:
            raise ValueError(f'{type(model).__name__} has no trainable parameter to optimise')
        params = [dict(params=members, **options) for options, members in groups]
        optimizer = OPTIMIZERS.build(dict(self.optimizer_cfg, params=params))
        for group in optimizer.param_groups:
            for key in group.keys() - {'params', *optimizer.defaults}:
                raise ValueError(
                    f'paramwise_cfg.custom_keys sets {key} = {group[key]!r}, which '
                    f'{type(optimizer).__name__} does not have: set lr_mult, decay_mult, or one of '
                    f'{", ".join(optimizer.defaults)}'
                )
        wrapper_cfg = {'type': 'OptimWrapper', **self.optim_wrapper_cfg}
        return OPTIM_WRAPPERS.build(wrapper_cfg, default_args=dict(optimizer=optimizer))

    def _layers(self, model: nn.Module) -> tuple[dict[str, float], list[str]]:
        """Return factors of the rate by name, and patterns of names that are not decayed."""
        rate = self.paramwise_cfg.get('layer_decay_rate')
        if rate is None:
            return {}, []
        backbone = getattr(model, 'backbone', model)
        scales = {}
        try:
            for name, _ in model.named_parameters():
                depth, num_layers = backbone.get_layer_depth(name, 'backbone.')
                scales[name] = rate ** (num_layers - 1 - depth)
        except (AttributeError, NotImplementedError) as error:
            raise ValueError(
                f'paramwise_cfg.layer_decay_rate = {rate}, but the layers of '
                f'{type(backbone).__name__} are not known: remove it, set rates by name in '
                'custom_keys, or use a backbone with get_layer_depth, such as VisionTransformer, '
                'ConvNeXt, or TIMMFeatureMap of a model that timm can group, without features_only'
            ) from error
        spared = getattr(backbone, 'no_weight_decay', list)()
        return scales, [f'backbone.{pattern}' for pattern in spared]

    def _options(self, name: str, module: nn.Module, param: nn.Parameter, scale: float) -> dict:
        """Return the settings in which the group of a parameter differs from the optimiser's."""
        custom = self.paramwise_cfg.get('custom_keys', {})
        found = [key for key in custom if key in name]
        if found:
            options = dict(custom[min(found, key=lambda key: (-len(key), key))])
        else:
            options = {}
            is_norm = isinstance(module, _NORMS)
            if name.endswith('bias') and not is_norm and 'bias_lr_mult' in self.paramwise_cfg:
                options['lr_mult'] = self.paramwise_cfg['bias_lr_mult']
            is_depthwise = isinstance(module, nn.Conv2d) and module.in_channels == module.groups
            if is_depthwise and 'dwconv_decay_mult' in self.paramwise_cfg:
                options['decay_mult'] = self.paramwise_cfg['dwconv_decay_mult']
        for key, mult, base in (
            ('lr', options.pop('lr_mult', 1) * scale, self.base_lr),
            ('weight_decay', options.pop('decay_mult', 1), self.base_wd),
        ):
            if mult != 1:
                if base is None:
                    raise ValueError(f'{name} gets {mult} times the {key}: set optimizer.{key}')
                options[key] = base * mult
        return options


class SkippingMixin:
    """Skip a step whose loss is NaN or infinite on any rank.

    Neither parameters nor buffers change (statistics of batch norms are restored), there is no
    backward pass, and accumulated gradients are dropped. Schedules and averages continue.
    :class:`FiniteLossHook` counts the steps and ends the training after too many.

    Args:
        max_skips (int): Steps that may be skipped in the whole training, at least 1.

    Attributes:
        skipped (bool): Whether the last step was skipped.
        vote (RankVote): By which all ranks agree; :class:`FiniteLossHook` gives it its own.
    """

    def __init__(self, *, max_skips: int, **kwargs):
        if isinstance(max_skips, bool) or not isinstance(max_skips, int) or max_skips < 1:
            raise ValueError(
                f'optim_wrapper.max_skips must be an integer of at least 1, but got {max_skips!r}; '
                'remove it to end the training at the first loss that is not finite'
            )
        super().__init__(**kwargs)
        self.max_skips = max_skips
        self.skipped = False
        self.vote = RankVote()
        self._buffers: list[tuple[Tensor, Tensor]] = []

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Also remember the buffers before the forward pass."""
        self._buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
        with super().optim_context(model):
            yield

    def update_params(self, loss: Tensor, *args, **kwargs) -> None:
        """Take the step, or skip it on all ranks."""
        self.skipped = self.vote.any(not bool(torch.isfinite(loss)))
        if not self.skipped:
            super().update_params(loss, *args, **kwargs)
            return
        with torch.no_grad():
            for buffer, before in self._buffers:
                buffer.copy_(before)
        self.zero_grad()
        self._inner_count += 1  # as `backward` does: accumulation stays in step


class SkippingOptimWrapper(SkippingMixin, OptimWrapper):
    """``OptimWrapper`` with ``max_skips``, see :class:`SkippingMixin`."""


class SkippingAmpOptimWrapper(SkippingMixin, AmpOptimWrapper):
    """``AmpOptimWrapper`` with ``max_skips``, see :class:`SkippingMixin`."""


def skipping(optim_wrapper: dict) -> dict:
    """Return the config of a wrapper with the class that knows ``max_skips``, or raise."""
    wrapper_type = optim_wrapper.get('type', 'OptimWrapper')
    name = getattr(wrapper_type, '__name__', str(wrapper_type)).rpartition('.')[2]
    classes = dict(OptimWrapper=SkippingOptimWrapper, AmpOptimWrapper=SkippingAmpOptimWrapper)
    if name not in classes:
        raise ConfigError(
            f'optim_wrapper.max_skips works with type {" or ".join(classes)}, not {name}: remove it'
        )
    return {**optim_wrapper, 'type': classes[name]}
