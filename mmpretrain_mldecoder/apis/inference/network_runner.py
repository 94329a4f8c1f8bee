"""Run a network for prediction, by torch or by ONNX Runtime."""

import copy
import time
import warnings
from collections import Counter

import torch
from mmengine.model import BaseModel
from mmpretrain.models import ImageClassifier
from mmpretrain.structures import DataSample
from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ...errors import RunError
from .onnx_model import OnnxModel, check_onnx_packages, missing_onnx_packages

SECONDS_WORTH_AN_EXPORT = 60  # left for torch; an export takes 5 to 10 s and saves a fifth


class NetworkRunner:
    """Predict batches by torch, or by ONNX Runtime where that is asked for or pays.

    The model, a classifier in evaluation mode, is changed: batch norms are folded, and on the CPU
    weights are stored in channels-last order. ``backend`` is as in :class:`MultiLabelInferencer`.
    """

    def __init__(self, model: BaseModel, backend: str | None):
        device = next(model.parameters()).device
        self.model = model
        self.backend = backend
        self._onnx: OnnxModel | None = None
        pays = backend is None and device.type == 'cpu' and not missing_onnx_packages()
        self._may_export = backend == 'onnx' or pays
        if isinstance(model, ImageClassifier):
            fold_batch_norm(model.backbone)
        if device.type == 'cpu':
            model.to(memory_format=torch.channels_last)

    @torch.no_grad()
    def __call__(self, batch: dict, num_left: int = 0) -> list[DataSample]:
        """Predict ``inputs`` and ``data_samples``, collated; ``num_left`` images will follow.

        Raises ``RunError`` if the backend is ``'onnx'`` and the model cannot be exported.
        """
        if self._may_export and self.backend == 'onnx':
            self._export(batch)
        if self._onnx is not None and self._onnx.accepts(batch['inputs']):
            # What the host's heads do with the output of their forward.
            logits = self._onnx(batch['inputs'])
            return self.model.head._get_predictions(logits, batch['data_samples'])
        start = time.perf_counter()
        samples = self.model.test_step(batch)
        seconds_left = (time.perf_counter() - start) / len(samples) * num_left
        if self._may_export and seconds_left >= SECONDS_WORTH_AN_EXPORT:
            try:
                self._export(batch)
            except RunError as error:
                self._may_export = False
                warnings.warn(f'predicting with torch: {error}', stacklevel=2)
        return samples

    def _export(self, batch: dict) -> None:
        if not isinstance(self.model, ImageClassifier):
            raise RunError(
                f'a {type(self.model).__name__} cannot be exported to ONNX, only an ImageClassifier'
            )
        self._onnx = OnnxModel(self.model, batch['inputs'])
        self._may_export = False


def check_backend(backend: str | None, device: str | torch.device) -> None:
    """Raise a ``ValueError``, or ``ModuleNotFoundError``, if a network cannot be run so."""
    if backend not in (None, 'torch', 'onnx'):
        raise ValueError(f"backend must be 'torch', 'onnx' or None, but got {backend!r}")
    if backend == 'onnx':
        if torch.device(device).type != 'cpu':
            raise ValueError(f"backend 'onnx' predicts on the CPU, but device is {device}")
        check_onnx_packages("backend 'onnx'")


_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
# Subclasses may do more, such as the activation inside TResNet's norms.
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def fold_batch_norm(module: nn.Module) -> int:
    """Scale the weights of convolutions by the batch norms that follow, which become identities.

    The outputs stay the same but for rounding. A pair is folded if, in a trace of ``forward``
    (``torch.fx``), the norm alone reads the convolution's output, and both are called once. Other
    norms stay: those with an activation inside or ahead of their convolution, and all of them if
    ``forward`` cannot be traced. The module, in evaluation mode and with one argument for
    ``forward``, must not be trained any more. Returns how many were folded.
    """
    if not any(type(m) in _NORMS for m in module.modules()):
        return 0
    pairs = _pairs(module)
    for conv, norm in pairs:
        fused = fuse_conv_bn_eval(module.get_submodule(conv), module.get_submodule(norm))
        module.set_submodule(conv, fused)
        module.set_submodule(norm, nn.Identity())
    return len(pairs)


def _pairs(module: nn.Module) -> list[tuple[str, str]]:
    """Return the names of the convolutions and norms that can be folded."""
    try:
        # Of a copy, as some networks keep what they compute, and would keep what the tracer passes.
        graph = fx.Tracer().trace(copy.deepcopy(module))
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

    return [
        (conv.target, norm.target)
        for norm in calls
        for conv in norm.all_input_nodes
        if conv in calls and len(conv.users) == 1
        if once(norm, _NORMS) and once(conv, _CONVOLUTIONS)
        if module.get_submodule(norm.target).running_mean is not None
    ]
