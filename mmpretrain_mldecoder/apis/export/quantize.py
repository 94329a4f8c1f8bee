"""An ONNX model with the backbone in 8 bits."""

import logging
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from onnx import ModelProto

_SCOPES = 'pkg.torch.onnx.name_scopes'  # where torch's exporter says which module a node is from


def to_int8(model: 'ModelProto', batches: Iterable[np.ndarray]) -> 'ModelProto':
    """Quantize a model by ONNX Runtime's static quantization, with photos to calibrate on.

    Activations are unsigned, from their least to their greatest value; weights are signed, one
    scale a channel, and take 7 of the 8 bits, because processors without VNNI saturate where two
    full products are added. In float stay the normalisation, the first convolution, which reads
    the pixels, and the head.

    Args:
        model (ModelProto): What ``to_onnx`` gives; its nodes say which module they are from.
        batches (Iterable[ndarray]): The calibration photos, packed, ``(B, 3, H, W)`` each.

    Returns:
        ModelProto: With pairs of QuantizeLinear and DequantizeLinear.
    """
    import onnx  # extras
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quantize_static,
    )

    class Photos(CalibrationDataReader):
        feeds = iter(batches)

        def get_next(self) -> dict | None:
            batch = next(self.feeds, None)
            return None if batch is None else dict(image=batch)

    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # it advises a preparation that torch's exporter has done
    try:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder, 'int8.onnx')
            quantize_static(
                model,
                out,
                Photos(),
                quant_format=QuantFormat.QDQ,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                per_channel=True,
                reduce_range=True,
                nodes_to_exclude=_in_float(model),
            )
            return onnx.load(out)
    finally:
        root.setLevel(level)


def _in_float(model: 'ModelProto') -> list[str]:
    """Names of the nodes up to the first convolution, and of those of the head."""
    nodes = list(model.graph.node)
    first = next((i for i, node in enumerate(nodes) if node.op_type == 'Conv'), -1)
    scopes = [{p.key: p.value for p in node.metadata_props}.get(_SCOPES, '') for node in nodes]
    return [
        node.name
        for i, (node, scope) in enumerate(zip(nodes, scopes, strict=True))
        if i <= first or "'model.head'" in scope
    ]
