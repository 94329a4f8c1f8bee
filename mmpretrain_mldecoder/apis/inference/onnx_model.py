"""ONNX export of a classifier, and ONNX Runtime on the CPU."""

import logging
import warnings
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal

import torch
from mmengine.model import BaseModel
from mmpretrain.models.heads import ClsHead, MultiLabelClsHead
from torch import Tensor, nn

from ...errors import RunError

if TYPE_CHECKING:
    from onnx import ModelProto
    from onnxruntime import InferenceSession

Activation = Literal['sigmoid', 'softmax']


class WholeNetwork(nn.Module):
    """The data preprocessor and the network in one, and the sigmoid on request.

    Args:
        model (BaseModel): A classifier.
        sigmoid (bool): Whether to give scores instead of logits. Defaults to False.

    Shape:
        - Input: ``(B, 3, H, W)``, as the test pipeline packs it.
        - Output: ``(B, C)`` logits, or probabilities.
    """

    def __init__(self, model: BaseModel, sigmoid: bool = False):
        super().__init__()
        self.model = model
        self.sigmoid = sigmoid

    def forward(self, image: Tensor) -> Tensor:
        logits = self.model(self.model.data_preprocessor(dict(inputs=image))['inputs'])
        return logits.sigmoid() if self.sigmoid else logits


def activation_of(model: BaseModel) -> Activation:
    """Return what turns the logits of a classifier into its ``pred_score``.

    Raises:
        ValueError: If the model has no head whose scores are the sigmoid or softmax of logits.
    """
    head = getattr(model, 'head', None)
    if isinstance(head, MultiLabelClsHead):
        return 'sigmoid'
    if isinstance(head, ClsHead):
        return 'softmax'
    raise ValueError(
        f'a {type(model).__name__} with a {type(head).__name__} cannot be exported, only an '
        'ImageClassifier with a single-label or multi-label head'
    )


def dynamic_shapes(dynamic_size: bool) -> tuple[dict]:
    """Return the free axes of ``image`` for torch's exporters: the batch, H and W on request.

    H and W may be bound to each other or to multiples by the network; the exporter finds out.
    """
    batch = {0: torch.export.Dim('batch')}
    size = torch.export.Dim.DYNAMIC
    return (batch | {2: size, 3: size} if dynamic_size else batch,)


def batch_of_two(images: Tensor) -> Tensor:
    """Return an example for torch's exporters, which take a batch of 1 for a constant."""
    return images[:1].expand(2, -1, -1, -1).contiguous()


_WRONG = 1e-3
"""Scores that far from torch's are not due to rounding, which moves those of trained networks by
1e-6, and of random ones whose logits are scaled up by 4e-4."""

_PACKAGES = ('onnxruntime', 'onnx', 'onnxscript')  # to run; to hold the model; to export it


def missing_onnx_packages() -> list[str]:
    """Return which of the packages for ONNX are not installed."""
    return [name for name in _PACKAGES if find_spec(name) is None]


def check_onnx_packages(what: str) -> None:
    """Raise a ``ModuleNotFoundError`` that says how to install what is missing for ``what``."""
    if missing := missing_onnx_packages():
        raise ModuleNotFoundError(
            f"{what} needs {', '.join(missing)}: pip install 'mmpretrain_mldecoder[onnx]'"
        )


def first_line(error: Exception) -> str:
    """Return the class of an error and the first line of its text, which may have hundreds."""
    return f'{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}'


def to_onnx(
    model: BaseModel, images: Tensor, dynamic_size: bool = False, sigmoid: bool = False
) -> 'ModelProto':
    """Export a classifier, from the packed images to the logits.

    The data preprocessor is inside: the input ``image`` is what the test pipeline packs, usually
    ``uint8`` with the channels as BGR, and the output ``logits`` is before the sigmoid or softmax.
    The batch has any size, height and width are those of ``images``.

    Args:
        model (BaseModel): A classifier on the CPU, in evaluation mode.
        images (Tensor): An example, ``(B, 3, H, W)``; its values do not matter.
        dynamic_size (bool): Whether height and width are free too. Defaults to False.
        sigmoid (bool): Whether the output is the sigmoid of the logits, named ``scores``. Defaults
            to False.

    Returns:
        ModelProto: The model; ``onnx.save`` writes it to a file.

    Raises:
        Exception: Of torch's exporter, if it cannot export the model.
    """
    quiet = logging.getLogger('onnxscript')
    level = quiet.level
    quiet.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter('ignore')
            program = torch.onnx.export(
                WholeNetwork(model, sigmoid).eval(),
                (batch_of_two(images),),
                dynamo=True,
                dynamic_shapes=dynamic_shapes(dynamic_size),
                input_names=['image'],
                output_names=['scores' if sigmoid else 'logits'],
                verbose=False,
            )
    finally:
        quiet.setLevel(level)
    return program.model_proto


def onnx_session(model: bytes | str) -> 'InferenceSession':
    """Load a model, or the file of that name, for the CPU, with as many threads as torch."""
    import onnxruntime  # an extra

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors: it warns of each half-precision node that it casts
    return onnxruntime.InferenceSession(model, options, providers=['CPUExecutionProvider'])


class OnnxModel:
    """A classifier that ONNX Runtime runs on the CPU, with as many threads as torch.

    Building it takes seconds: the model is exported, and its scores of the first image are
    compared with torch's.

    Args:
        model (BaseModel): A classifier on the CPU, in evaluation mode.
        images (Tensor): What the test pipeline packs, ``(B, 3, H, W)``. Others must have the
            same type, height and width, which :meth:`takes` tells; ``B`` is free.

    Raises:
        RunError: If the model cannot be exported, or then gives other scores.
    """

    def __init__(self, model: BaseModel, images: Tensor):
        try:
            self._session = onnx_session(to_onnx(model, images).SerializeToString())
            self._kind = _kind(images)
            first = images[:1]
            with torch.no_grad():
                expected = WholeNetwork(model)(first)
            apart = (self(first).sigmoid() - expected.sigmoid()).abs().max().item()
        except Exception as error:  # of torch's exporter, or of ONNX Runtime: any
            raise RunError(f'the model cannot be exported to ONNX: {first_line(error)}') from error
        if not apart <= _WRONG:
            raise RunError(
                f'the model exported to ONNX gives scores that are {apart:.2g} off, more than '
                f'{_WRONG:g}'
            )

    def takes(self, images: Tensor) -> bool:
        """Tell whether the images have the type, height and width that it was built for."""
        return _kind(images) == self._kind

    def __call__(self, images: Tensor) -> Tensor:
        """Return the logits ``(B, C)``."""
        (logits,) = self._session.run(['logits'], {'image': images.numpy()})
        return torch.from_numpy(logits)


def _kind(images: Tensor) -> tuple[torch.dtype, torch.Size]:
    return images.dtype, images.shape[1:]
