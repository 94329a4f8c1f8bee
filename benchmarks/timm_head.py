"""timm's copy of the authors' ML-Decoder beside ours, with the same weights.

Benchmarks time the two; the tests compare their values and gradients.
"""

from collections.abc import Callable

from timm.layers.ml_decoder import MLDecoder as PublishedDecoder
from torch import Tensor, nn

from mmpretrain_mldecoder.layers import MLDecoder


def published_decoder(
    num_classes: int, num_groups: int, embed_dims: int, in_channels: int
) -> PublishedDecoder:
    """Return timm's decoder, made to run on torch >= 2.1.

    There torch's stock container reads ``self_attn`` of its layers, which the authors' layer lacks.
    With one layer and no final norm the container does nothing but call the layer, so the layer is
    called in its place.
    """
    published = PublishedDecoder(num_classes, num_groups, embed_dims, in_channels)
    published.decoder.forward = published.decoder.layers[0].forward
    return published


def published_tensors(
    published: PublishedDecoder, of: Callable[[Tensor], Tensor] = lambda parameter: parameter
) -> dict[str, Tensor]:
    """Return our names -> tensors of timm's decoder.

    Args:
        published (PublishedDecoder): timm's decoder.
        of (Callable): What to take of a parameter, such as its gradient. Defaults to the parameter
            itself. Query, key and value projection are thirds of it.
    """
    layer = published.decoder.layers[0]
    attention = layer.multihead_attn
    tensors = {
        'queries': of(published.query_embed.weight),
        'group_linear.weight': of(published.duplicate_pooling),
        'group_linear.bias': of(published.duplicate_pooling_bias),
    }
    modules = {
        'input_proj': published.embed_standart,
        'layers.0.query_norm': layer.norm1,
        'layers.0.attention.out_proj': attention.out_proj,
        'layers.0.attention_norm': layer.norm2,
        'layers.0.ffn_in': layer.linear1,
        'layers.0.ffn_out': layer.linear2,
        'layers.0.ffn_norm': layer.norm3,
    }
    for name, module in modules.items():
        tensors |= {f'{name}.weight': of(module.weight), f'{name}.bias': of(module.bias)}
    for kind in ('weight', 'bias'):
        thirds = of(getattr(attention, f'in_proj_{kind}')).chunk(3)
        for projection, third in zip(('query', 'key', 'value'), thirds, strict=True):
            tensors[f'layers.0.attention.{projection}_proj.{kind}'] = third
    return tensors


def decoder_pair(
    num_classes: int, num_groups: int, embed_dims: int = 768, in_channels: int = 2048
) -> tuple[PublishedDecoder, MLDecoder]:
    """Return timm's decoder and ours with the same random weights, in evaluation mode."""
    published = published_decoder(num_classes, num_groups, embed_dims, in_channels)
    for value in published.parameters():
        # Sums over the inputs of a layer stay of size 1; norms and biases are random too.
        nn.init.normal_(value, std=value.shape[1] ** -0.5 if value.dim() > 1 else 0.5)
    ours = MLDecoder(num_classes, in_channels, num_groups, embed_dims=embed_dims)
    ours.load_state_dict(published_tensors(published))
    return published.eval(), ours.eval()
