"""A classifier from the packed pictures on: what is exported, whatever the format."""

from typing import Literal

import torch
from mmengine.model import BaseModel
from mmpretrain.models.heads import ClsHead, MultiLabelClsHead
from torch import Tensor, nn

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


def batch_of_two(pictures: Tensor) -> Tensor:
    """Return an example for torch's exporters, which take a batch of 1 for a constant."""
    return pictures[:1].expand(2, -1, -1, -1).contiguous()
