"""The heads that are compared: modules from a feature map ``(B, C, H, W)`` to logits."""

from collections.abc import Callable
from math import pi

import torch
from mmpretrain.models.heads import CSRAClsHead
from torch import Tensor, nn

from mmpretrain_mldecoder.layers import MLDecoder
from mmpretrain_mldecoder.layers.group_linear import GroupLinear

WIDTH, FEEDFORWARD, ATTENTION_HEADS, DROPOUT = 768, 2048, 8, 0.1  # ML-Decoder's, for all decoders


class Linear(nn.Module):
    """Global average pooling and a linear layer. Takes pooled features, too."""

    def __init__(self, num_classes: int, in_channels: int):
        super().__init__()
        self.fc = nn.Linear(in_channels, num_classes)

    def forward(self, feats: Tensor) -> Tensor:
        return self.fc(feats.flatten(2).mean(2) if feats.dim() == 4 else feats)


class MaxPooled(nn.Module):
    """Global max pooling and a linear layer. Takes pooled features, too."""

    def __init__(self, num_classes: int, in_channels: int):
        super().__init__()
        self.fc = nn.Linear(in_channels, num_classes)

    def forward(self, feats: Tensor) -> Tensor:
        return self.fc(feats.flatten(2).amax(2) if feats.dim() == 4 else feats)


class CSRA(nn.Module):
    """The host's head of CSRA (arXiv:2108.02456), one head and lambda 0.1 as for VOC there."""

    def __init__(self, num_classes: int, in_channels: int):
        super().__init__()
        self.head = CSRAClsHead(num_classes, in_channels, num_heads=1, lam=0.1)

    def forward(self, feats: Tensor) -> Tensor:
        return self.head((feats,))


class SelfAttentionDecoder(MLDecoder):
    """ML-Decoder with the self-attention between queries that it leaves out."""

    def __init__(self, num_classes: int, in_channels: int):
        super().__init__(num_classes, in_channels, num_groups=num_classes)
        layer = nn.TransformerDecoderLayer(
            WIDTH, ATTENTION_HEADS, FEEDFORWARD, DROPOUT, batch_first=True
        )
        self.layers = nn.ModuleList([layer])

    def forward(self, feats: Tensor) -> Tensor:
        queries = self.queries.expand(len(feats), -1, -1)
        return self.group_linear(self.layers[0](queries, self._to_memory(feats)))


class Query2Label(nn.Module):
    """Query2Label's transformer (arXiv:2107.10834): an encoder layer, two decoder layers.

    As in its authors' code: post-norm, learned queries and sine positions that are added where
    attention compares, no self-attention between queries (their default), Xavier-uniform matrices.
    Differs in the sizes: width 768, 8 heads and 2048 channels, as ML-Decoder, after a projection;
    theirs are the backbone's width, 4 heads and four times the width.
    """

    def __init__(self, num_classes: int, in_channels: int):
        super().__init__()
        self.input_proj = nn.Linear(in_channels, WIDTH)
        self.encoder = _AttentionLayer()
        self.decoder = nn.ModuleList([_AttentionLayer(), _AttentionLayer()])
        self.norm = nn.LayerNorm(WIDTH)
        self.queries = nn.Parameter(torch.randn(num_classes, WIDTH))
        for parameter in self.parameters():
            if parameter.dim() > 1 and parameter is not self.queries:
                nn.init.xavier_uniform_(parameter)
        self.group_linear = GroupLinear(WIDTH, num_classes, num_classes)

    def forward(self, feats: Tensor) -> Tensor:
        positions = _sine_positions(*feats.shape[2:]).to(feats.device)
        memory = self.input_proj(feats.flatten(2).transpose(1, 2))
        memory = self.encoder(memory, positions, memory, positions)
        queries = self.queries.expand(len(feats), -1, -1)
        found = torch.zeros_like(queries)
        for layer in self.decoder:
            found = layer(found, queries, memory, positions)
        return self.group_linear(self.norm(found))


class _AttentionLayer(nn.Module):
    """Attention and a feed-forward network, each with a residual branch and then a norm."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(WIDTH, ATTENTION_HEADS, DROPOUT, batch_first=True)
        self.ffn = nn.Sequential(
            nn.Linear(WIDTH, FEEDFORWARD),
            nn.ReLU(),
            nn.Dropout(DROPOUT),
            nn.Linear(FEEDFORWARD, WIDTH),
            nn.Dropout(DROPOUT),
        )
        self.dropout = nn.Dropout(DROPOUT)
        self.attention_norm = nn.LayerNorm(WIDTH)
        self.ffn_norm = nn.LayerNorm(WIDTH)

    def forward(self, x: Tensor, x_positions: Tensor, memory: Tensor, positions: Tensor) -> Tensor:
        gathered, _ = self.attention(
            x + x_positions, memory + positions, memory, need_weights=False
        )
        x = self.attention_norm(x + self.dropout(gathered))
        return self.ffn_norm(x + self.ffn(x))


def _sine_positions(height: int, width: int) -> Tensor:
    """Return DETR's normalised sine positions, ``(H * W, WIDTH)``: half for y, half for x."""
    frequencies = 10000 ** (torch.arange(0, WIDTH // 2, 2) / (WIDTH // 2))
    halves = []
    for count in (height, width):
        angles = 2 * pi * torch.arange(1, count + 1)[:, None] / count / frequencies
        halves.append(torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1))
    y = halves[0][:, None].expand(-1, width, -1)
    x = halves[1][None].expand(height, -1, -1)
    return torch.cat([y, x], dim=2).flatten(0, 1)


def _ml_decoder(num_groups: Callable[[int], int], **kwargs: object) -> Callable[..., nn.Module]:
    def build(num_classes: int, in_channels: int) -> nn.Module:
        return MLDecoder(num_classes, in_channels, num_groups(num_classes), **kwargs)

    return build


HEADS: dict[str, Callable[[int, int], nn.Module]] = {
    'linear': Linear,
    'gmp': MaxPooled,
    'csra': CSRA,
    'mldecoder': _ml_decoder(lambda c: c),
    'mldecoder-half': _ml_decoder(lambda c: -(-c // 2)),
    'mldecoder-quarter': _ml_decoder(lambda c: -(-c // 4)),
    'mldecoder-learned': _ml_decoder(lambda c: c, learn_queries=True),
    'mldecoder-2layers': _ml_decoder(lambda c: c, num_layers=2),
    'mldecoder-selfattention': SelfAttentionDecoder,
    'query2label': Query2Label,
}
"""Builders from number of classes and channels, by name."""

NAMES = {
    'linear': 'GAP + linear',
    'gmp': 'GMP + linear',
    'csra': 'CSRA',
    'mldecoder': 'ML-Decoder, K = C',
    'mldecoder-half': 'ML-Decoder, K = C / 2',
    'mldecoder-quarter': 'ML-Decoder, K = C / 4',
    'mldecoder-learned': 'ML-Decoder, learned queries',
    'mldecoder-2layers': 'ML-Decoder, 2 layers',
    'mldecoder-selfattention': 'ML-Decoder, with self-attention',
    'query2label': 'Query2Label, width 768',
}
"""Names in tables."""


def short_name(head: str) -> str:
    """Return the name of a head without the number of its queries."""
    return NAMES[head].partition(',')[0]


POOLED = dict(linear=lambda feats: feats.mean((2, 3)), gmp=lambda feats: feats.amax((2, 3)))
"""What a head that pools first needs of a map: the same result from a fraction of the data."""

LIKE: dict[str, str] = {name: 'mldecoder' for name in HEADS if name.startswith('mldecoder-')}
"""Heads that are trained with the settings chosen for another."""
