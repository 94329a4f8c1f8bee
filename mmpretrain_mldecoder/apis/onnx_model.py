"""A classifier as an ONNX model, and ONNX Runtime to run it on the CPU."""

import logging
import warnings
from importlib.util import find_spec
from typing import TYPE_CHECKING

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn

if TYPE_CHECKING:
    from onnx import ModelProto

_WRONG = 1e-3
"""Scores that far from torch's are not due to rounding, which moves those of trained networks by
1e-6, and of random ones whose logits are scaled up by 4e-4."""

_PACKAGES = ('onnxruntime', 'onnx', 'onnxscript')  # to run; to hold the model; to export it


def missing_onnx_packages() -> list[str]:
    """Return which of the packages for ONNX are not installed."""
    return [name for name in _PACKAGES if find_spec(name) is None]


def to_onnx(model: BaseModel, pictures: Tensor) -> 'ModelProto':
    """Export a classifier, from the packed pictures to the logits.

    The data preprocessor is inside: the input ``image`` is what the test pipeline packs, usually
    ``uint8`` with the channels as BGR, and the output ``logits`` is before the sigmoid or softmax.
    The batch has any size, height and width are those of ``pictures``.

    Args:
        model (BaseModel): A classifier on the CPU, in evaluation mode.
        pictures (Tensor): An example, ``(B, 3, H, W)``; its values do not matter.

    Returns:
        ModelProto: The model; ``onnx.save`` writes it to a file.

    Raises:
        Exception: Of torch's exporter, if it cannot export the model.
    """
    # A batch of 1 would be taken for a constant.
    example = pictures[:1].expand(2, -1, -1, -1).contiguous()
    quiet = logging.getLogger('onnxscript')
    level = quiet.level
    quiet.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter('ignore')
            program = torch.onnx.export(
                _PicturesToLogits(model).eval(),
                (example,),
                dynamo=True,
                dynamic_shapes=({0: torch.export.Dim('batch')},),
                input_names=['image'],
                output_names=['logits'],
                verbose=False,
            )
    finally:
        quiet.setLevel(level)
    return program.model_proto


class _PicturesToLogits(nn.Module):
    """The data preprocessor and the network in one."""

    def __init__(self, model: BaseModel):
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> Tensor:
        return self.model(self.model.data_preprocessor(dict(inputs=image))['inputs'])


class OnnxModel:
    """A classifier that ONNX Runtime runs on the CPU, with as many threads as torch.

    Building it takes seconds: the model is exported, and its scores of the first picture are
    compared with torch's.

    Args:
        model (BaseModel): A classifier on the CPU, in evaluation mode.
        pictures (Tensor): What the test pipeline packs, ``(B, 3, H, W)``. Others must have the
            same type, height and width, which :meth:`takes` tells; ``B`` is free.

    Raises:
        RuntimeError: If the model cannot be exported, or then gives other scores.
    """

    def __init__(self, model: BaseModel, pictures: Tensor):
        import onnxruntime  # an extra

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        try:
            self._session = onnxruntime.InferenceSession(
                to_onnx(model, pictures).SerializeToString(),
                options,
                providers=['CPUExecutionProvider'],
            )
            self._kind = _kind(pictures)
            first = pictures[:1]
            with torch.no_grad():
                expected = _PicturesToLogits(model)(first)
            apart = (self(first).sigmoid() - expected.sigmoid()).abs().max().item()
        except Exception as error:  # of torch's exporter, or of ONNX Runtime: any
            reason = str(error).strip().partition('\n')[0]
            raise RuntimeError(
                f'the model cannot be exported to ONNX: {type(error).__name__}: {reason}'
            ) from error
        if not apart <= _WRONG:
            raise RuntimeError(
                f'the model exported to ONNX gives scores that are {apart:.2g} off, more than '
                f'{_WRONG:g}'
            )

    def takes(self, pictures: Tensor) -> bool:
        """Tell whether the pictures have the type, height and width that it was built for."""
        return _kind(pictures) == self._kind

    def __call__(self, pictures: Tensor) -> Tensor:
        """Return the logits ``(B, C)``."""
        (logits,) = self._session.run(['logits'], {'image': pictures.numpy()})
        return torch.from_numpy(logits)


def _kind(pictures: Tensor) -> tuple[torch.dtype, torch.Size]:
    return pictures.dtype, pictures.shape[1:]
