"""Any model of timm by name: the address of its weights, and their names here."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ..fileio.terminal import one_line
from .conversion import Conversion

_FILES = ('model.safetensors', 'pytorch_model.bin')  # in a repository of Hugging Face


def names() -> list[str]:
    """Return all weights that timm knows, ``'MODEL.TAG'``; ``ImportError`` without timm."""
    return _timm().list_pretrained()


def pretrained_cfg(name: str) -> Any:
    """Return timm's ``PretrainedCfg`` of one of the :func:`names`, None if it is none."""
    return _timm().models.get_pretrained_cfg(name) if name in names() else None


def in_hub_cache(repository: str) -> Path | None:
    """Return the file of weights in the cache of ``huggingface_hub``, None if it is not there."""
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:
        return None
    found = (try_to_load_from_cache(repository, file) for file in _FILES)
    return next((Path(path) for path in found if isinstance(path, str)), None)


def convert(name: str, state: Mapping[str, Tensor]) -> Conversion:
    """Let timm load the weights of a file into its model, and give them the names of ours.

    The network becomes that of the host's ``TIMMBackbone``. The classifier becomes ``head.fc`` of a
    model with the host's ``GlobalAveragePooling`` and ``LinearClsHead`` if timm's network ends in
    the same two layers; any other (with a norm or a layer between them) is skipped, and a file may
    be without it. Raises ``ValueError`` if the weights are not those of the model, one of the
    :func:`names`.
    """
    try:
        try:
            model = _create(name, state)
        except RuntimeError:
            if _has_classifier(name, state):
                raise
            model = _create(name, state, num_classes=0)
    except (RuntimeError, KeyError) as error:
        raise ValueError(f"they are not those of timm's {name}: {one_line(error)}") from error
    tensors = dict(model.state_dict())
    classifier = _classifier(model)
    with_head = _ends_in_pool_and_linear(model)
    model.reset_classifier(0, '')  # as TIMMBackbone does
    sources: dict[str, str] = {}
    for own in tensors:
        if own in model.state_dict():
            sources[f'backbone.timm_model.{own}'] = own
        elif with_head and own.startswith(f'{classifier}.'):
            sources[f'head.fc{own.removeprefix(classifier)}'] = own
    return Conversion(
        family='timm',
        state_dict={ours: tensors[own] for ours, own in sources.items()},
        sources=sources,
        skipped=tuple(own for own in tensors if own not in {*sources.values()}),
    )


def _timm() -> Any:
    try:
        import timm
    except ImportError as error:
        raise ImportError('weights of timm need timm: pip install timm') from error
    return timm


def _create(name: str, state: Mapping[str, Tensor], **options: Any) -> Any:
    overlay = dict(state_dict=dict(state))
    return _timm().create_model(name, pretrained=True, pretrained_cfg_overlay=overlay, **options)


def _has_classifier(name: str, state: Mapping[str, Tensor]) -> bool:
    known = pretrained_cfg(name).classifier or ()
    known = (known,) if isinstance(known, str) else known
    return any(own.startswith(f'{layer}.') for own in state for layer in known)


def _classifier(model: Any) -> str:
    """Return the name of the last layer; empty if there are several or none."""
    layer = model.get_classifier()
    return next((name for name, module in model.named_modules() if module is layer), '')


def _ends_in_pool_and_linear(model: Any) -> bool:
    from timm.layers.adaptive_avgmax_pool import SelectAdaptivePool2d
    from timm.layers.classifier import ClassifierHead

    layer, head = model.get_classifier(), getattr(model, 'head', None)
    pool = getattr(head if type(head) is ClassifierHead else model, 'global_pool', None)
    return (
        isinstance(pool, SelectAdaptivePool2d)
        and pool.pool_type == 'avg'
        and isinstance(layer, nn.Linear)
        and layer.in_features == model.num_features
    )
