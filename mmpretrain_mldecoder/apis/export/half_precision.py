"""An ONNX model with weights and arithmetic in half precision."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnx import ModelProto


def to_half_precision(model: 'ModelProto') -> 'ModelProto':
    """Convert the floats of a model to 16 bits, by ONNX Runtime's own converter.

    Input and output keep their types. Half precision has 11 bits and ends at 65,504: scores move by
    1e-3 or so, and a network whose features grow beyond that gives no numbers at all.

    Args:
        model (ModelProto): In single precision. It is changed.
    """
    from onnxruntime.transformers.float16 import convert_float_to_float16  # an extra

    return convert_float_to_float16(model, keep_io_types=True)
