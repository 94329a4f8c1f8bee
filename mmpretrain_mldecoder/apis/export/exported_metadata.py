"""What an exported file says about itself, so that it alone is enough to predict."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from ...version import __version__
from ..inference.checkpoint_identity import checkpoint_identity
from ..inference.whole_network import Activation

if TYPE_CHECKING:
    from onnx import ModelProto


def input_entry(pictures: Tensor, dynamic_size: bool) -> dict:
    """Describe the input; ``height`` and ``width`` are None where they are free."""
    height, width = (None, None) if dynamic_size else pictures.shape[2:]
    return dict(
        name='image',
        dtype=str(pictures.dtype).removeprefix('torch.'),
        layout='NCHW',
        channels='BGR',
        orientation='upright (EXIF)',
        height=height,
        width=width,
    )


def output_entry(activation: Activation, sigmoid: bool) -> dict:
    """Describe the output; ``then`` is what still turns it into scores, None if nothing."""
    return dict(name='scores', then=None) if sigmoid else dict(name='logits', then=activation)


def source_entry(config: str | None, checkpoint: str, precision: str) -> dict:
    """Say where the file comes from: names without folders, the checkpoint's SHA-256.

    Args:
        config (str, optional): Path of the config, None if it has none.
        checkpoint (str): See :func:`checkpoint_identity`.
        precision (str): 'fp32', 'fp16' or 'int8'.
    """
    return dict(
        config=config and Path(config).name,
        **checkpoint_identity(checkpoint),
        precision=precision,
        mmpretrain_mldecoder=__version__,
    )


def write_metadata(model: 'ModelProto', metadata: dict) -> None:
    """Put each entry into ``metadata_props`` as JSON, and take out how the export was done.

    torch's exporter notes for each node the lines of Python that it comes from, with the folders of
    the machine.
    """
    import onnx  # an extra

    for part in (*model.graph.node, *model.graph.value_info, *model.graph.initializer):
        del part.metadata_props[:]
    for part in (*model.graph.input, *model.graph.output, model.graph):
        del part.metadata_props[:]
    onnx.helper.set_model_props(
        model, {key: json.dumps(value, ensure_ascii=False) for key, value in metadata.items()}
    )
