"""A classifier as an ONNX file of a precision."""

import os
from collections.abc import Callable, Iterable
from typing import Literal

import torch
from mmengine.model import BaseModel
from torch import Tensor

from ..inference.onnx_model import onnx_session, to_onnx
from .exported_metadata import write_metadata
from .half_precision import to_half_precision
from .quantize import to_int8

Precision = Literal['fp32', 'fp16', 'int8']


def write_onnx(
    model: BaseModel,
    pictures: Tensor,
    out: str | os.PathLike,
    metadata: dict,
    dynamic_size: bool = False,
    sigmoid: bool = False,
    precision: Precision = 'fp32',
    calibration: Iterable[Tensor] = (),
) -> None:
    """Export a classifier and write it, with the metadata in ``metadata_props``.

    Args:
        model (BaseModel): A classifier on the CPU, in evaluation mode.
        pictures (Tensor): An example, ``(B, 3, H, W)``; its values do not matter.
        out (str | PathLike): The file.
        metadata (dict): What JSON can hold.
        dynamic_size (bool): Whether height and width are free too. Defaults to False.
        sigmoid (bool): Whether to give scores instead of logits. Defaults to False.
        precision (str): ``'fp32'``, ``'fp16'`` or ``'int8'``. Defaults to ``'fp32'``.
        calibration (Iterable[Tensor]): The batches that int8 is calibrated on.

    Raises:
        Exception: Of torch's exporter, if it cannot export the model.
    """
    import onnx  # an extra

    exported = to_onnx(model, pictures, dynamic_size, sigmoid)
    if precision == 'fp16':
        exported = to_half_precision(exported)
    if precision == 'int8':
        exported = to_int8(exported, (batch.numpy() for batch in calibration))
    write_metadata(exported, metadata)
    onnx.save(exported, os.fspath(out))


def read_onnx(path: str | os.PathLike) -> Callable[[Tensor], Tensor]:
    """Load a file; returns what gives the output of a batch, on the CPU."""
    session = onnx_session(os.fspath(path))
    return lambda pictures: torch.from_numpy(session.run(None, {'image': pictures.numpy()})[0])
