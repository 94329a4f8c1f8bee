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
from ...fileio.terminal import quiet

if TYPE_CHECKING:
    from onnx import ModelProto
    from onnxruntime import InferenceSession

# Rounding moves the scores of trained networks by 1e-6, of random, scaled-up ones by 4e-4.
_WRONG = 1e-3
_PACKAGES = ('onnxruntime', 'onnx', 'onnxscript')  # to run; to hold the model; to export it


def missing_onnx_packages() -> list[str]:
    """Return which of the packages for ONNX are not installed."""
    return [name for name in _PACKAGES if find_spec(name) is None]


def check_onnx_packages(what: str) -> None:
    """Raise a ``ModuleNotFoundError`` that says how to install what is missing for ``what``."""
    if missing := missing_onnx_packages():
        raise ModuleNotFoundError(
            f'{what} needs {", ".join(missing)}: pip install {" ".join(missing)}'
        )


def first_line(error: Exception) -> str:
    """Return the class of an error and the first line of its text, which may have hundreds."""
    return f'{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}'


def activation_of(model: BaseModel) -> Literal['sigmoid', 'softmax']:
    """Return what turns a classifier's logits into ``pred_score``, or raise a ``ValueError``."""
    head = getattr(model, 'head', None)
    if isinstance(head, MultiLabelClsHead):
        return 'sigmoid'
    if isinstance(head, ClsHead):
        return 'softmax'
    kinds = 'an ImageClassifier with a single-label or multi-label head'
    what = f'a {type(model).__name__} with a {type(head).__name__}'
    raise ValueError(f'{what} cannot be exported, only {kinds}')


class WholeNetwork(nn.Module):
    """The data preprocessor and the network in one, and the sigmoid on request.

    Without it the output ``(B, C)`` is logits. The model is a classifier on the CPU, in evaluation
    mode. The input ``(B, 3, H, W)`` is as the test pipeline packs it, usually ``uint8`` with the
    channels as BGR; with ``normalised``, as the data preprocessor, which is left out, leaves it.
    """

    def __init__(self, model: BaseModel, sigmoid: bool = False, normalised: bool = False):
        super().__init__()
        self.model = model
        self.sigmoid = sigmoid
        self.normalised = normalised
        self.eval()

    def forward(self, image: Tensor) -> Tensor:
        if not self.normalised:
            image = self.model.data_preprocessor(dict(inputs=image))['inputs']
        logits = self.model(image)
        return logits.sigmoid() if self.sigmoid else logits


def example_of(images: Tensor, dynamic_size: bool) -> tuple[tuple[Tensor], tuple[dict]]:
    """Return an example for torch's exporters, and its free axes: batch, H and W on request."""
    # Without an upper end, torch 2.7 refuses the batch: it must not be the largest integer.
    free = {0: torch.export.Dim('batch', max=2**31 - 1)}
    if dynamic_size:  # whatever multiples the network asks for
        free |= {2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}
    # Two images, as exporters take a batch of 1 for a constant.
    return (images[:1].expand(2, -1, -1, -1).contiguous(),), (free,)


def to_onnx(
    network: WholeNetwork,
    images: Tensor,
    dynamic_size: bool = False,
    opset: int | None = None,
) -> 'ModelProto':
    """Export a network, from ``image`` to ``logits`` or ``scores``, for batches of any size.

    ``images`` are an example of its input, whose values do not matter. Height and width are free
    with ``dynamic_size``; the opset is that of torch's exporter unless one is given, which raises
    ``RunError`` if it cannot be had. Raises whatever torch's exporter does.
    """
    example, free_axes = example_of(images, dynamic_size)
    exporters = map(logging.getLogger, ('onnxscript', 'torch.onnx', 'onnx_ir'))
    with warnings.catch_warnings(), torch.no_grad(), quiet(*exporters, level=logging.ERROR):
        warnings.simplefilter('ignore')
        program = torch.onnx.export(
            network,
            example,
            dynamo=True,
            dynamic_shapes=free_axes,
            input_names=['image'],
            output_names=['scores' if network.sigmoid else 'logits'],
            verbose=False,
            opset_version=opset,
        )
    exported = program.model_proto
    (found,) = (o.version for o in exported.opset_import if o.domain == '')
    if opset not in (None, found):
        raise RunError(f"torch's exporter gives opset {found}, not {opset}: --opset {found}")
    return exported


def onnx_session(model: bytes | str) -> 'InferenceSession':
    """Load a model, or the file of that name, for the CPU, with as many threads as torch."""
    import onnxruntime  # an extra

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors: it warns of each half-precision node that it casts
    return onnxruntime.InferenceSession(model, options, providers=['CPUExecutionProvider'])


class OnnxModel:
    """A classifier that ONNX Runtime runs on the CPU, from packed images to logits ``(B, C)``.

    Building it takes seconds: the model, on the CPU and in evaluation mode, is exported, and its
    scores of the first image are compared with torch's; ``RunError`` if it cannot be exported, or
    then gives other scores. Of the packed images, ``(B, 3, H, W)``, only ``B`` is free.
    """

    def __init__(self, model: BaseModel, images: Tensor):
        self._dtype, self._shape = images.dtype, images.shape[1:]
        try:
            self._session = onnx_session(to_onnx(WholeNetwork(model), images).SerializeToString())
            with torch.no_grad():
                expected = WholeNetwork(model, sigmoid=True)(images[:1])
            apart = (self(images[:1]).sigmoid() - expected).abs().max().item()
        except Exception as error:  # of torch's exporter, or of ONNX Runtime: any
            raise RunError(f'the model cannot be exported to ONNX: {first_line(error)}') from error
        if not apart <= _WRONG:
            off = f'{apart:.2g} off, more than {_WRONG:g}'
            raise RunError(f'the model exported to ONNX gives scores that are {off}')

    def accepts(self, images: Tensor) -> bool:
        """Return whether the images have the type, height and width that it was built for."""
        return (images.dtype, images.shape[1:]) == (self._dtype, self._shape)

    def __call__(self, images: Tensor) -> Tensor:
        (logits,) = self._session.run(['logits'], {'image': images.numpy()})
        return torch.from_numpy(logits)
