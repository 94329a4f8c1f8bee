"""A classifier as an archive of ``torch.export``."""

import json
import os
from collections.abc import Callable

import torch
from mmengine.model import BaseModel
from torch import Tensor

from ..inference.whole_network import WholeNetwork, batch_of_two, dynamic_shapes

_METADATA = 'metadata.json'


def write_torch_archive(
    model: BaseModel,
    pictures: Tensor,
    out: str | os.PathLike,
    metadata: dict,
    dynamic_size: bool = False,
    sigmoid: bool = False,
) -> None:
    """Export a classifier and write the archive, with the metadata as its ``metadata.json``.

    Args:
        model (BaseModel): A classifier on the CPU, in evaluation mode.
        pictures (Tensor): An example, ``(B, 3, H, W)``; its values do not matter.
        out (str | PathLike): The file.
        metadata (dict): What JSON can hold.
        dynamic_size (bool): Whether height and width are free too. Defaults to False.
        sigmoid (bool): Whether to give scores instead of logits. Defaults to False.

    Raises:
        Exception: Of torch's exporter, if it cannot export the model.
    """
    with torch.no_grad():
        program = torch.export.export(
            WholeNetwork(model, sigmoid).eval(),
            (batch_of_two(pictures),),
            dynamic_shapes=dynamic_shapes(dynamic_size),
        )
    # As a stream: of a path, torch wants that it ends in .pt2.
    with open(out, 'wb') as stream:
        torch.export.save(
            program, stream, extra_files={_METADATA: json.dumps(metadata, ensure_ascii=False)}
        )


def read_torch_archive(path: str | os.PathLike) -> tuple[Callable[[Tensor], Tensor], dict]:
    """Load an archive: the network, and the metadata."""
    extra = {_METADATA: ''}
    with open(path, 'rb') as stream:
        network = torch.export.load(stream, extra_files=extra).module()
    return torch.no_grad()(network.forward), json.loads(extra[_METADATA])
