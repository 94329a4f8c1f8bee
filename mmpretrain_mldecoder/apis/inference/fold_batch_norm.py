"""Fold batch norms into the convolutions ahead of them, for prediction."""

import copy
from collections import Counter

from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
# With their running statistics these three compute the same. Subclasses may do more, such as the
# activation inside TResNet's norms.
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def fold_batch_norm(module: nn.Module) -> int:
    """Scale the weights of convolutions by the batch norms that follow, which become identities.

    In evaluation a batch norm multiplies each channel by a constant and adds another, and both can
    be part of the convolution. The outputs stay the same but for rounding; the training would not.

    Which norm follows which convolution is read from a trace of ``forward`` (``torch.fx``), not
    guessed from names or order. A pair is folded if the norm alone reads the convolution's output,
    and both are called once. The rest stays as it is: norms with an activation inside, those ahead
    of their convolution, and all of them if ``forward`` cannot be traced.

    Args:
        module (nn.Module): In evaluation mode, with one argument for ``forward``. It is changed,
            and must not be trained any more.

    Returns:
        int: How many were folded.

    Raises:
        ValueError: If ``module`` is in training mode.
    """
    if module.training:
        raise ValueError('batch norms can be folded in evaluation mode only: call eval() before')
    if not any(type(m) in _NORMS for m in module.modules()):
        return 0
    pairs = _pairs(module)
    for conv, norm in pairs:
        fused = fuse_conv_bn_eval(module.get_submodule(conv), module.get_submodule(norm))
        module.set_submodule(conv, fused)
        module.set_submodule(norm, nn.Identity())
    return len(pairs)


class _Tracer(fx.Tracer):
    """Keep convolutions and norms whole, also those that are defined outside torch."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return type(m) in (*_CONVOLUTIONS, *_NORMS) or super().is_leaf_module(
            m, module_qualified_name
        )


def _pairs(module: nn.Module) -> list[tuple[str, str]]:
    """Return the names of the convolutions and norms that can be folded."""
    try:
        # Of a copy, as some networks keep what they compute, and would keep what the tracer passes.
        graph = _Tracer().trace(copy.deepcopy(module))
    except Exception:  # whatever a network does to a tensor that has no values
        return []
    calls = [node for node in graph.nodes if node.op == 'call_module']
    times_called = Counter(node.target for node in calls)
    times_named = Counter(id(m) for _, m in module.named_modules(remove_duplicate=False))

    def once(node: fx.Node, types: tuple[type, ...]) -> bool:
        m = module.get_submodule(node.target)
        return (
            type(m) in types
            and times_called[node.target] == 1
            and times_named[id(m)] == 1  # else it would be replaced under one of its names only
        )

    pairs = []
    for norm in calls:
        conv = norm.args[0] if norm.args else None
        if (
            isinstance(conv, fx.Node)
            and conv.op == 'call_module'
            and len(conv.users) == 1
            and once(norm, _NORMS)
            and once(conv, _CONVOLUTIONS)
            and module.get_submodule(norm.target).running_mean is not None
        ):
            pairs.append((conv.target, norm.target))
    return pairs
