"""The output layer of ML-Decoder: every query answers for its own few classes.

Source: Ridnik et al., "ML-Decoder", arXiv:2111.12933v2, group fully-connected.
"""

import torch
from torch import Tensor, nn


class GroupLinear(nn.Module):
    """Turn ``K`` query embeddings into ``C`` logits, each read from one embedding only.

    Query ``k`` answers for the ``g = ceil(C / K)`` consecutive classes from ``k * g`` on; the
    surplus ``K * g - C`` outputs are dropped. With ``K = C`` each class has a query of its own.

    The weights start from a Xavier normal as the authors take it, over the whole 3-D tensor, whose
    standard deviation is ``sqrt(2 / ((K + D) * g))``; the bias starts from 0.

    Differs from the authors' code in: all groups in one batched product, no loop; an exact integer
    ceiling (theirs asks for a class too few when ``C / K`` is just above an integer, such as 1002
    classes in 1001 groups).

    Args:
        embed_dims (int): Width ``D`` of an embedding, at least 1.
        num_classes (int): Number of classes ``C``, at least 1.
        num_groups (int): Number of query embeddings ``K``, in ``[1, C]``.

    Shape:
        - Input: ``(B, K, D)``.
        - Output: ``(B, C)`` logits.

    Raises:
        ValueError: If a size is outside its range.
    """

    def __init__(self, embed_dims: int, num_classes: int, num_groups: int) -> None:
        super().__init__()
        if embed_dims < 1:
            raise ValueError(f'embed_dims must be at least 1, but is {embed_dims}.')
        if num_classes < 1:
            raise ValueError(f'num_classes must be at least 1, but is {num_classes}.')
        if not 1 <= num_groups <= num_classes:
            raise ValueError(
                f'num_groups must be from 1 to num_classes={num_classes}, but is {num_groups}.'
            )
        self.num_classes = num_classes
        self.group_size = -(-num_classes // num_groups)  # integer ceiling
        self.weight = nn.Parameter(torch.empty(num_groups, embed_dims, self.group_size))
        self.bias = nn.Parameter(torch.empty(num_classes))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw fresh weights."""
        nn.init.xavier_normal_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, embeddings: Tensor) -> Tensor:
        logits = torch.bmm(embeddings.transpose(0, 1), self.weight)  # (K, B, g)
        logits = logits.transpose(0, 1).flatten(1)  # (B, K * g)
        return logits[:, : self.num_classes] + self.bias

    def extra_repr(self) -> str:
        """Name the sizes when the model is printed."""
        num_groups, embed_dims, _ = self.weight.shape
        return (
            f'embed_dims={embed_dims}, num_classes={self.num_classes}, '
            f'num_groups={num_groups}, group_size={self.group_size}'
        )
