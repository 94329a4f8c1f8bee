"""Multi-head attention from a few queries to many tokens.

Source: Vaswani et al., "Attention Is All You Need", arXiv:1706.03762v7, section 3.2.
"""

import torch.nn.functional as F
from torch import Tensor, nn


class CrossAttention(nn.Module):
    """Let every query gather what it looks for from all tokens of the memory.

    Computes what ``torch.nn.MultiheadAttention(embed_dims, num_heads, dropout=drop_rate)`` does
    with the memory as key and value, and starts from the same distribution: torch draws query,
    key and value weights as one ``(3 * D, D)`` Xavier-uniform matrix, so each of them is uniform
    in ``±sqrt(6 / (4 * D))``.

    Args:
        embed_dims (int): Width ``D`` of queries and memory, a multiple of ``num_heads``.
        num_heads (int): Number of heads, at least 1.
        drop_rate (float): Dropout probability of the attention weights, in ``[0, 1)``. Defaults
            to 0.0.

    Shape:
        - queries: ``(B, K, D)``, or ``(1, K, D)`` where all samples ask the same.
        - memory: ``(B, L, D)``.
        - Output: ``(B, K, D)``.

    Raises:
        ValueError: If an argument is outside its range.
    """

    def __init__(self, embed_dims: int, num_heads: int, drop_rate: float = 0.0) -> None:
        super().__init__()
        if num_heads < 1 or embed_dims < 1 or embed_dims % num_heads != 0:
            raise ValueError(
                'embed_dims must be a positive multiple of num_heads, '
                f'but embed_dims={embed_dims} and num_heads={num_heads}.'
            )
        if not 0 <= drop_rate < 1:
            raise ValueError(f'drop_rate must be in [0, 1), but is {drop_rate}.')
        self.num_heads = num_heads
        self.drop_rate = drop_rate
        self.query_proj = nn.Linear(embed_dims, embed_dims)
        self.key_proj = nn.Linear(embed_dims, embed_dims)
        self.value_proj = nn.Linear(embed_dims, embed_dims)
        self.out_proj = nn.Linear(embed_dims, embed_dims)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw fresh weights."""
        for proj in (self.query_proj, self.key_proj, self.value_proj):
            # The gain turns the bound of a (D, D) matrix into that of a (3 * D, D) one.
            nn.init.xavier_uniform_(proj.weight, gain=0.5**0.5)
            nn.init.zeros_(proj.bias)
        self.out_proj.reset_parameters()
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, queries: Tensor, memory: Tensor) -> Tensor:
        query = self._split_heads(self.query_proj(queries))
        gathered = F.scaled_dot_product_attention(
            query.expand(memory.shape[0], -1, -1, -1),
            self._split_heads(self.key_proj(memory)),
            self._split_heads(self.value_proj(memory)),
            dropout_p=self.drop_rate if self.training else 0.0,
        )
        return self.out_proj(gathered.transpose(1, 2).flatten(2))  # (B, K, D)

    def attention_weights(self, queries: Tensor, memory: Tensor) -> Tensor:
        """Return how much each query looks at each token, ``(B, num_heads, K, L)``.

        These are the weights that :meth:`forward` applies, without its dropout: fractions that
        sum to 1 over the tokens.
        """
        query = self._split_heads(self.query_proj(queries))
        key = self._split_heads(self.key_proj(memory))
        scores = query @ key.transpose(2, 3) * query.shape[-1] ** -0.5
        return scores.softmax(dim=-1)

    def _split_heads(self, tokens: Tensor) -> Tensor:
        tokens = tokens.unflatten(2, (self.num_heads, -1))  # (B, L, num_heads, D / num_heads)
        return tokens.transpose(1, 2)
