"""torch's attention with the weights of ours."""

import torch
from torch import nn

from mmpretrain_mldecoder.layers import CrossAttention


def torch_attention(layer: CrossAttention) -> nn.MultiheadAttention:
    """Return ``nn.MultiheadAttention`` without dropout, with copies of a layer's weights."""
    attention = nn.MultiheadAttention(layer.out_proj.in_features, layer.num_heads, batch_first=True)
    projections = (layer.query_proj, layer.key_proj, layer.value_proj)
    attention.load_state_dict(
        {
            'in_proj_weight': torch.cat([proj.weight for proj in projections]),
            'in_proj_bias': torch.cat([proj.bias for proj in projections]),
            'out_proj.weight': layer.out_proj.weight,
            'out_proj.bias': layer.out_proj.bias,
        }
    )
    return attention
