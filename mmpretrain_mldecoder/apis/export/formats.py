"""Writers and readers of the exported formats: ONNX (fp32, fp16, int8) and torch.export."""

import json
import logging
import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor

from ...fileio.terminal import quiet
from ..inference.onnx_model import WholeNetwork, example_of, onnx_session, to_onnx

if TYPE_CHECKING:
    from onnx import ModelProto

Precision = Literal['fp32', 'fp16', 'int8']

RUNTIMES = {
    17: '1.12', 18: '1.14', 19: '1.15', 20: '1.17', 21: '1.18', 22: '1.21', 23: '1.23', 24: '1.24',
}  # fmt: skip
"""The first ONNX Runtime that reads an opset, with the lowest IR version that goes with it."""


def write_onnx(
    out: str | os.PathLike,
    network: WholeNetwork,
    images: Tensor,
    metadata: dict,
    dynamic_size: bool,
    opset: int | None,
    precision: Precision,
    calibration: Iterable[Tensor],
) -> None:
    """Export a network as :func:`to_onnx` does, and write the file ``out``.

    ``metadata``, which JSON can hold, goes to ``metadata_props``, with what the file ``requires``;
    ``calibration`` are the batches that int8 is calibrated on.
    """
    import onnx  # an extra

    exported = to_onnx(network, images, dynamic_size, opset)
    if precision == 'fp16':
        from onnxruntime.transformers.float16 import convert_float_to_float16  # an extra

        # 11 bits, at most 65,504: scores move by 1e-3 or so, and a network whose features grow
        # beyond that gives no numbers at all.
        exported = convert_float_to_float16(exported, keep_io_types=True)
    if precision == 'int8':
        # Where torch's exporter converts to opset 17, the scopes are lost; the names stay.
        has_scopes = all(node.metadata_props for node in exported.graph.node)
        scoped = exported if has_scopes else to_onnx(network, images, dynamic_size)
        exported = to_int8(exported, (b.numpy() for b in calibration), _head_nodes(scoped))
    # From torch's exporter: the lines of Python, with the folders of this machine.
    graph = exported.graph
    for part in (*graph.node, *graph.value_info, *graph.initializer, *graph.input, *graph.output):
        del part.metadata_props[:]
    del graph.metadata_props[:]
    # The exporter writes a newer IR version than the opset asks for, which older runtimes refuse.
    lowest = onnx.helper.find_min_ir_version_for(list(exported.opset_import), ignore_unknown=True)
    exported.ir_version = min(exported.ir_version, lowest)
    version = max(o.version for o in exported.opset_import if o.domain in ('', 'ai.onnx'))
    metadata['requires'] = dict(
        onnxruntime=RUNTIMES.get(version), opset=version, ir_version=exported.ir_version
    )
    properties = {key: json.dumps(value, ensure_ascii=False) for key, value in metadata.items()}
    onnx.helper.set_model_props(exported, properties)
    onnx.save(exported, os.fspath(out))


def read_onnx(path: str | os.PathLike) -> Callable[[Tensor], Tensor]:
    """Load a file; returns what gives the output of a batch, on the CPU."""
    session = onnx_session(os.fspath(path))
    return lambda images: torch.from_numpy(session.run(None, {'image': images.numpy()})[0])


_SCOPES = 'pkg.torch.onnx.name_scopes'  # where torch's exporter says which module a node is from


def to_int8(
    model: 'ModelProto', batches: Iterable[np.ndarray], head: Sequence[str]
) -> 'ModelProto':
    """Quantize a model of :func:`to_onnx` by ONNX Runtime's static quantization.

    Activations are unsigned, from their least to their greatest value in ``batches`` of packed
    photos, ``(B, 3, H, W)``; weights are signed, one scale per channel, in 7 of the 8 bits, because
    processors without VNNI saturate where two full products are added. The normalisation, the first
    convolution, which reads the pixels, and the nodes of the ``head`` stay in float.
    """
    import onnx  # extras
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

    class Photos(CalibrationDataReader):
        feeds = (dict(image=batch) for batch in batches)

        def get_next(self) -> dict | None:
            return next(self.feeds, None)

    # It advises a preparation that torch's exporter has done.
    with quiet(logging.getLogger(), level=logging.ERROR), tempfile.TemporaryDirectory() as folder:
        out = Path(folder, 'int8.onnx')
        quantize_static(
            model,
            out,
            Photos(),
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
            nodes_to_exclude=[*_nodes_to_first_convolution(model), *head],
        )
        return onnx.load(out)


def _nodes_to_first_convolution(model: 'ModelProto') -> list[str]:
    kinds = [node.op_type for node in model.graph.node]
    end = kinds.index('Conv') + 1 if 'Conv' in kinds else 0
    return [node.name for node in model.graph.node[:end]]


def _head_nodes(model: 'ModelProto') -> list[str]:
    return [
        node.name
        for node in model.graph.node
        if any(p.key == _SCOPES and "'model.head'" in p.value for p in node.metadata_props)
    ]


_METADATA = 'metadata.json'


def write_torch_archive(
    out: Path, network: WholeNetwork, images: Tensor, metadata: dict, dynamic_size: bool
) -> None:
    """As :func:`write_onnx`, but by ``torch.export``; the metadata is ``metadata.json``."""
    example, free_axes = example_of(images, dynamic_size)
    with torch.no_grad():
        program = torch.export.export(network, example, dynamic_shapes=free_axes)
    extra = {_METADATA: json.dumps(metadata, ensure_ascii=False)}
    with open(out, 'wb') as stream:  # torch refuses a path that does not end in .pt2
        torch.export.save(program, stream, extra_files=extra)


def read_torch_archive(path: str | os.PathLike) -> tuple[Callable[[Tensor], Tensor], dict]:
    """Load an archive: the network, and the metadata."""
    extra = {_METADATA: ''}
    with open(path, 'rb') as stream:
        network = torch.export.load(stream, extra_files=extra).module()
    return torch.no_grad()(network.forward), json.loads(extra[_METADATA])
