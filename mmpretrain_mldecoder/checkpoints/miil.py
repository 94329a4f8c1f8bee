"""The names that the authors of ML-Decoder (Alibaba MIIL) publish: TResNets and the head."""

import re
from collections.abc import Collection, Mapping

from torch import Tensor

_EPSILON = 1e-5  # of InPlaceABN

_AROUND_LAYERS = {
    'query_embed.weight': 'queries',
    'embed_standart.weight': 'input_proj.weight',
    'embed_standart.bias': 'input_proj.bias',
    'duplicate_pooling': 'group_linear.weight',
    'duplicate_pooling_bias': 'group_linear.bias',
}
# As in torch's decoder layer, which the authors and PaddleClas both began with.
DECODER_LAYER = {
    'linear1': 'ffn_in',
    'linear2': 'ffn_out',
    'norm1': 'query_norm',
    'norm2': 'attention_norm',
    'norm3': 'ffn_norm',
}
_DECODER_LAYER = DECODER_LAYER | {'multihead_attn.out_proj': 'attention.out_proj'}


def family_of(names: Collection[str]) -> str | None:
    """Return ``'miil'`` if these are the names of one of the authors' TResNets."""
    return 'miil' if 'body.conv1.0.weight' in names else None


def rename(state: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Give every name of the file what it becomes here: ``{their name: {our name: tensor}}``.

    The body becomes timm's TResNet inside the host's ``TIMMBackbone``. The authors' norms are
    ``InPlaceABN``, which scales by ``abs(weight) + 1e-5``; timm's scale by ``weight``, so that
    value is stored. Unknown names are left out.
    """
    renamed = {}
    for name, value in state.items():
        part, _, rest = name.partition('.')
        rename_part = dict(body=_rename_body, head=rename_head).get(part)
        ours = rename_part and rename_part(rest, value)
        if ours:
            renamed[name] = ours
    return renamed


def _rename_body(name: str, value: Tensor) -> dict[str, Tensor] | None:
    prefix = 'backbone.timm_model.body'
    if re.fullmatch(r'layer\d\.\d+\.se\.fc[12]\.(weight|bias)', name):
        return {f'{prefix}.{name}': value}
    # conv1.0, conv1.1: convolution and norm; conv1.0.0, conv1.0.1 where a blur comes after them.
    match = re.fullmatch(
        r'((?:layer\d\.\d+\.)?(?:conv\d|downsample\.\d))\.(?:0\.)?([01])\.'
        r'(weight|bias|running_mean|running_var)',
        name,
    )
    if match is None:
        return None
    module, index, parameter = match.groups()
    if index == '1' and parameter == 'weight':
        value = value.abs() + _EPSILON
    return {f'{prefix}.{module}.{("conv", "bn")[int(index)]}.{parameter}': value}


def rename_head(name: str, value: Tensor) -> dict[str, Tensor] | None:
    """Rename a tensor of the authors' ML-Decoder, or of the linear layer in its place.

    The name inside the head is ``fc.weight`` or ``weight`` of a linear one; for ML-Decoder as
    published (``decoder.query_embed.weight``) or as in timm and the authors' first version
    (``query_embed.weight``). Returns ours by name, three of a fused projection; None if unknown.
    """
    if name.removeprefix('fc.') in ('weight', 'bias'):
        return {f'head.fc.{name.removeprefix("fc.")}': value}
    match = re.fullmatch(r'decoder\.layers\.(\d+)\.(.+)[._](weight|bias)', name)
    if match is None:
        ours = _AROUND_LAYERS.get(name.removeprefix('decoder.'))
        return {f'head.decoder.{ours}': value} if ours else None
    layer, module, parameter = match.groups()
    prefix = f'head.decoder.layers.{layer}'
    if module == 'multihead_attn.in_proj':
        return {
            f'{prefix}.attention.{projection}_proj.{parameter}': part
            for projection, part in zip(('query', 'key', 'value'), value.chunk(3), strict=True)
        }
    if module in _DECODER_LAYER:
        return {f'{prefix}.{_DECODER_LAYER[module]}.{parameter}': value}
    return None
