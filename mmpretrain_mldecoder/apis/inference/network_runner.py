"""Run a network for prediction, by torch or by ONNX Runtime."""

import time
import warnings

import torch
from mmengine.model import BaseModel
from mmpretrain.models import ImageClassifier
from mmpretrain.structures import DataSample
from torch import Tensor

from .fold_batch_norm import fold_batch_norm
from .onnx_model import OnnxModel, missing_onnx_packages

SECONDS_WORTH_AN_EXPORT = 60
"""From how much work on, in torch's time, an export to ONNX is sure to pay for itself.

It takes 5 to 10 s, and saves a fifth of torch's time or more.
"""


class NetworkRunner:
    """Predict batches by torch, or by ONNX Runtime where that is asked for or pays.

    For torch, the batch norms are folded into the convolutions, and on the CPU the weights are
    stored in channels-last order. The model is changed by that.

    Args:
        model (BaseModel): A classifier in evaluation mode, on its device.
        backend (str, optional): ``'torch'``, ``'onnx'`` or None; see
            :class:`~mmpretrain_mldecoder.apis.MultiLabelInferencer`.

    Raises:
        ValueError: If ``backend`` is unknown, or ``'onnx'`` on another device than the CPU.
        ModuleNotFoundError: If it is ``'onnx'`` and its packages are not installed.
    """

    def __init__(self, model: BaseModel, backend: str | None):
        device = next(model.parameters()).device
        self.model = model
        self.backend = backend
        self._onnx: OnnxModel | None = None
        self._may_export = backend != 'torch' and device.type == 'cpu'
        if isinstance(model, ImageClassifier):
            fold_batch_norm(model.backbone)
        if device.type == 'cpu':
            model.to(memory_format=torch.channels_last)

    @torch.no_grad()
    def __call__(self, batch: dict, num_left: int = 0) -> list[DataSample]:
        """Predict a packed batch.

        Args:
            batch (dict): ``inputs`` and ``data_samples``, collated.
            num_left (int): How many pictures will follow, from which an export may come to pay.
                Defaults to 0.

        Raises:
            RuntimeError: If the backend is ``'onnx'`` and the model cannot be exported.
        """
        if self._may_export and self.backend == 'onnx':
            self._export(batch)
        if self._onnx is not None and self._onnx.takes(batch['inputs']):
            # What the host's heads do with the output of their forward.
            logits = self._onnx(batch['inputs'])
            return self.model.head._get_predictions(logits, batch['data_samples'])
        start = time.perf_counter()
        samples = self.model.test_step(batch)
        seconds_left = (time.perf_counter() - start) / len(samples) * num_left
        if self._may_export and seconds_left >= SECONDS_WORTH_AN_EXPORT:
            self._try_export(batch)
        return samples

    @torch.no_grad()
    def with_attention(self, batch: dict) -> tuple[list[DataSample], Tensor]:
        """Predict a packed batch by torch, and return the attention maps ``(B, heads, K, H, W)``.

        Raises:
            ValueError: If the head has tokens that are no square of positions.
        """
        data = self.model.data_preprocessor(batch)
        feats = self.model.extract_feat(data['inputs'])
        samples = self.model.head.predict(feats, data['data_samples'])
        return samples, self.model.head.attention_maps(feats)

    def _export(self, batch: dict) -> None:
        """Go over to ONNX Runtime."""
        if not isinstance(self.model, ImageClassifier):
            raise RuntimeError(
                f'a {type(self.model).__name__} cannot be exported to ONNX, only an ImageClassifier'
            )
        self._onnx = OnnxModel(self.model, batch['inputs'])
        self._may_export = False

    def _try_export(self, batch: dict) -> None:
        """Go over to ONNX Runtime, or stay with torch and say why."""
        if not missing_onnx_packages():
            try:
                self._export(batch)
            except RuntimeError as error:
                warnings.warn(f'predicting with torch: {error}', stacklevel=3)
        self._may_export = False


def check_backend(backend: str | None, device: torch.device) -> None:
    """Raise what :class:`NetworkRunner` raises, before a model is built."""
    if backend not in (None, 'torch', 'onnx'):
        raise ValueError(f"backend must be 'torch', 'onnx' or None, but got {backend!r}")
    if backend != 'onnx':
        return
    if device.type != 'cpu':
        raise ValueError(f"backend 'onnx' predicts on the CPU, but device is {device}")
    if missing := missing_onnx_packages():
        raise ModuleNotFoundError(
            f"backend 'onnx' needs {', '.join(missing)}: pip install 'mmpretrain_mldecoder[onnx]'"
        )
