"""Where a model looks for each class: attention, or the class activation maps of other heads."""

import torch
from mmengine.model import BaseModel
from mmpretrain.models import CSRAClsHead, GlobalAveragePooling, LinearClsHead
from mmpretrain.models.heads import MultiLabelLinearClsHead
from mmpretrain.structures import DataSample
from torch import Tensor, nn
from torch.nn import functional as F


def attention_kind(model: BaseModel) -> str | None:
    """Return what the maps of a model are, in words; None if it has none.

    ML-Decoder has attention, CSRA and a linear layer behind global average pooling have class
    activation maps.
    """
    head = getattr(model, 'head', None)
    if hasattr(head, 'attention_maps'):
        return "attention of the decoder's last layer"
    return 'class activation map' if _classifiers(model) else None


@torch.no_grad()
def predict_with_attention(model: BaseModel, batch: dict) -> tuple[list[DataSample], Tensor]:
    """Predict a collated batch with a model in evaluation mode that has an :func:`attention_kind`.

    Returns:
        tuple: The data samples, and maps ``(B, heads, K, H, W)`` of K queries, each of which
        answers for ``ceil(C / K)`` consecutive classes. They are at least 0 and sum to 1 over ``H``
        and ``W``. Attention is that of :meth:`~.MLDecoderHead.attention_maps`. A class activation
        map (arXiv:1512.04150), one for each head of CSRA, has the scores of a class in the cells
        where they are above 0, and is 0 where none is.
    """
    data = model.data_preprocessor(batch)
    feats = model.extract_feat(data['inputs'], stage='backbone')
    of_head = model.neck(feats) if model.with_neck else feats
    samples = model.head.predict(of_head, data['data_samples'])
    if hasattr(model.head, 'attention_maps'):
        return samples, model.head.attention_maps(of_head)
    weights = [layer.weight.flatten(1)[..., None, None] for layer in _classifiers(model)]
    evidence = torch.stack([F.conv2d(feats[-1], each).float().relu() for each in weights], 1)
    total = evidence.sum((3, 4), keepdim=True)
    return samples, evidence / total.clamp(min=torch.finfo(total.dtype).tiny)


def _classifiers(model: BaseModel) -> list[nn.Module]:
    """Return the layers that score each cell of the feature map, before or after its mean."""
    head, neck = getattr(model, 'head', None), getattr(model, 'neck', None)
    if isinstance(head, CSRAClsHead) and neck is None:
        return [each.head for each in head.csra_heads]
    linear = isinstance(head, (MultiLabelLinearClsHead, LinearClsHead))
    return [head.fc] if linear and isinstance(neck, GlobalAveragePooling) else []
