"""ML-Decoder: a classification head that reads a feature map with a few queries.

Source: Ridnik et al., "ML-Decoder: Scalable and Versatile Classification Head",
arXiv:2111.12933v2.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .cross_attention import CrossAttention
from .group_linear import GroupLinear


class MLDecoderLayer(nn.Module):
    """Let the queries look at the memory, then pass each through a feed-forward network.

    A Transformer decoder layer (post-norm, ReLU) without the self-attention. Where that was, the
    authors' code adds the queries to their own dropout: in evaluation a plain doubling ahead of
    the norm. Weights trained with it rely on it, so it is kept.

    Args:
        embed_dims (int): Width ``D``, a multiple of ``num_heads``.
        num_heads (int): Number of attention heads, at least 1.
        feedforward_channels (int): Hidden width of the feed-forward network, at least 1.
        drop_rate (float): Dropout probability in ``[0, 1)``, of the attention weights, the hidden
            features and the three residual branches.

    Shape:
        - queries: ``(B, K, D)``, or ``(1, K, D)`` where all samples ask the same.
        - memory: ``(B, L, D)``.
        - Output: ``(B, K, D)``.

    Raises:
        ValueError: If an argument is outside its range.
    """

    def __init__(
        self, embed_dims: int, num_heads: int, feedforward_channels: int, drop_rate: float
    ) -> None:
        super().__init__()
        if feedforward_channels < 1:
            raise ValueError(
                f'feedforward_channels must be at least 1, but is {feedforward_channels}.'
            )
        self.attention = CrossAttention(embed_dims, num_heads, drop_rate)
        self.ffn_in = nn.Linear(embed_dims, feedforward_channels)
        self.ffn_out = nn.Linear(feedforward_channels, embed_dims)
        self.query_norm = nn.LayerNorm(embed_dims)
        self.attention_norm = nn.LayerNorm(embed_dims)
        self.ffn_norm = nn.LayerNorm(embed_dims)
        self.dropout = nn.Dropout(drop_rate)

    def forward(self, queries: Tensor, memory: Tensor) -> Tensor:
        queries = self._normalise(queries)
        gathered = self.attention(queries, memory)
        queries = self.attention_norm(queries + self.dropout(gathered))
        hidden = self.dropout(F.relu(self.ffn_in(queries)))
        return self.ffn_norm(queries + self.dropout(self.ffn_out(hidden)))

    def attention_weights(self, queries: Tensor, memory: Tensor) -> Tensor:
        """Return how much each query looks at each token, ``(B, num_heads, K, L)``.

        See :meth:`CrossAttention.attention_weights`.
        """
        return self.attention.attention_weights(self._normalise(queries), memory)

    def _normalise(self, queries: Tensor) -> Tensor:
        return self.query_norm(queries + self.dropout(queries))


class MLDecoder(nn.Module):
    """Read a feature map with a few queries and return one logit per class.

    Each of ``K`` queries attends to the whole map and answers for ``g = ceil(C / K)`` consecutive
    classes. ``K = C`` is the paper's full decoding, fewer queries its group decoding. The queries
    are drawn from N(0, 1) and stay frozen unless ``learn_queries``: the projections that read them
    are learned either way. Linear layers and norms start from torch's defaults,
    :class:`CrossAttention` and :class:`GroupLinear` as they say.

    Source: Ridnik et al., "ML-Decoder", arXiv:2111.12933v2, full and group decoding, and the
    authors' code, which the ReLU after the projection is taken from.
    Differs from the authors' code in: exact integer ceiling; no loop over groups; all sizes are
    arguments; with several layers each draws weights of its own, while theirs start as copies.

    Args:
        num_classes (int): Number of classes ``C``, at least 1.
        in_channels (int): Channels of the incoming map or tokens, at least 1.
        num_groups (int, optional): Number of queries ``K``, in ``[1, C]``. Defaults to None, which
            means ``min(100, C)``.
        embed_dims (int): Width ``D`` of the decoder, a multiple of ``num_heads``. Defaults to 768.
        num_heads (int): Number of attention heads, at least 1. Defaults to 8.
        feedforward_channels (int): Hidden width of the feed-forward network, at least 1. Defaults
            to 2048.
        num_layers (int): Number of decoder layers, at least 1. Defaults to 1.
        drop_rate (float): Dropout probability in ``[0, 1)``. Defaults to 0.1.
        learn_queries (bool): Whether the queries are trained. Defaults to False.

    Shape:
        - Input: ``(B, in_channels, H, W)`` map, or ``(B, L, in_channels)`` tokens.
        - Output: ``(B, C)`` logits, i.e. before the sigmoid or softmax.

    Raises:
        ValueError: If an argument is outside its range; when called, if the input is neither a map
            nor tokens of ``in_channels`` channels.

    Example:
        >>> decoder = MLDecoder(num_classes=80, in_channels=2048)
        >>> decoder(torch.rand(2, 2048, 7, 7)).shape
        torch.Size([2, 80])
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        num_groups: int | None = None,
        embed_dims: int = 768,
        num_heads: int = 8,
        feedforward_channels: int = 2048,
        num_layers: int = 1,
        drop_rate: float = 0.1,
        learn_queries: bool = False,
    ) -> None:
        super().__init__()
        sizes = dict(num_classes=num_classes, in_channels=in_channels, num_groups=num_groups)
        for name, size in sizes.items():
            if not isinstance(size, int | None):
                raise ValueError(f'{name} must be a whole number, but is {size!r}.')
        if in_channels < 1:
            raise ValueError(f'in_channels must be at least 1, but is {in_channels}.')
        if num_layers < 1:
            raise ValueError(f'num_layers must be at least 1, but is {num_layers}.')
        if num_groups is None:
            num_groups = min(100, num_classes)
        self.in_channels = in_channels
        # Built first, as it checks num_groups, which the queries depend on.
        self.group_linear = GroupLinear(embed_dims, num_classes, num_groups)
        self.input_proj = nn.Linear(in_channels, embed_dims)
        self.layers = nn.ModuleList(
            MLDecoderLayer(embed_dims, num_heads, feedforward_channels, drop_rate)
            for _ in range(num_layers)
        )
        self.queries = nn.Parameter(
            torch.randn(num_groups, embed_dims), requires_grad=learn_queries
        )

    def forward(self, feats: Tensor) -> Tensor:
        memory = self._to_memory(feats)
        # Dropout makes the queries of the samples differ. Without it all samples ask the same,
        # and that is normalised and projected once.
        num_samples = feats.shape[0] if self.training else 1
        queries = self.queries.expand(num_samples, -1, -1)  # (B or 1, K, D)
        for layer in self.layers:
            queries = layer(queries, memory)
        return self.group_linear(queries)

    def attention_weights(self, feats: Tensor) -> Tensor:
        """Return where the queries look in the last layer: fractions that sum to 1 over the tokens.

        The layers before have changed the queries by then, each from what it saw of the same
        tokens. With one layer, the default, this is all the looking there is.

        Args:
            feats (Tensor): As for the forward pass: ``(B, in_channels, H, W)``, whose tokens are
                numbered row by row, or ``(B, L, in_channels)``.

        Returns:
            Tensor: ``(B, num_heads, K, L)``. Class ``c`` is read from query
            ``c // group_linear.group_size``.

        Raises:
            RuntimeError: If the decoder is in training mode, where dropout would change them.
            ValueError: If the input is neither a map nor tokens of ``in_channels`` channels.
        """
        if self.training:
            raise RuntimeError('attention weights are those of evaluation mode: call eval() first.')
        memory = self._to_memory(feats)
        queries = self.queries[None]  # (1, K, D)
        for layer in self.layers[:-1]:
            queries = layer(queries, memory)
        last: MLDecoderLayer = self.layers[-1]  # type: ignore[assignment]
        return last.attention_weights(queries, memory)

    def _to_memory(self, feats: Tensor) -> Tensor:
        return F.relu(self.input_proj(self._to_tokens(feats)))  # (B, L, D)

    def _to_tokens(self, feats: Tensor) -> Tensor:
        if feats.dim() not in (3, 4):
            raise ValueError(
                'The input must be a map (B, C, H, W) or tokens (B, L, C), '
                f'but has shape {tuple(feats.shape)}.'
            )
        tokens = feats.flatten(2).transpose(1, 2) if feats.dim() == 4 else feats  # (B, L, C)
        if tokens.shape[2] != self.in_channels:
            raise ValueError(
                f'The input must have in_channels={self.in_channels} channels, but has '
                f'{tokens.shape[2]} (shape {tuple(feats.shape)}; maps are (B, C, H, W), '
                'tokens (B, L, C)). Set in_channels to what the backbone gives.'
            )
        return tokens
