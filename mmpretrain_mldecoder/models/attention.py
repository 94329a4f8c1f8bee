"""Where a model looks for each class: attention, or the class activation map of a linear head."""

import torch
from mmengine.model import BaseModel
from mmpretrain.models import CSRAClsHead, GlobalAveragePooling, LinearClsHead
from mmpretrain.models.heads import MultiLabelLinearClsHead
from mmpretrain.structures import DataSample
from torch import Tensor, nn
from torch.nn import functional as F

DECODER, RESIDUAL = "attention of the decoder's last layer", 'residual attention of CSRA'
ACTIVATION = 'class activation map'


def attention_kind(model: BaseModel) -> str | None:
    """Return what the maps of a model are, in words; None if it has none.

    ML-Decoder and CSRA have attention. A linear layer behind global average pooling has a class
    activation map.
    """
    head = getattr(model, 'head', None)
    if hasattr(head, 'attention_maps'):
        return DECODER
    if isinstance(head, CSRAClsHead):
        return RESIDUAL
    linear = isinstance(head, (MultiLabelLinearClsHead, LinearClsHead))
    is_pooled = isinstance(getattr(model, 'neck', None), GlobalAveragePooling)
    return ACTIVATION if linear and is_pooled else None


@torch.no_grad()
def predict_with_attention(model: BaseModel, batch: dict) -> tuple[list[DataSample], Tensor]:
    """Predict a collated batch with a model in evaluation mode that has an :func:`attention_kind`.

    Returns:
        tuple: The data samples, and maps ``(B, heads, K, H, W)`` of K queries, each of which
        answers for ``ceil(C / K)`` consecutive classes. They are at least 0 and sum to 1 over ``H``
        and ``W``: of ML-Decoder :meth:`~.MLDecoderHead.attention_maps`; of CSRA
        (arXiv:2108.02456) the softmax over the cells of the scores of a class, times the
        temperature of each of its heads; of a linear layer (CAM, arXiv:1512.04150) the scores above
        0, or zeros where no cell has one.
    """
    data = model.data_preprocessor(batch)
    feats = model.extract_feat(data['inputs'], stage='backbone')
    of_head = model.neck(feats) if model.with_neck else feats
    samples = model.head.predict(of_head, data['data_samples'])
    kind = attention_kind(model)
    if kind == DECODER:
        return samples, model.head.attention_maps(of_head)
    if kind == RESIDUAL:
        maps = [_residual(each, feats[-1]) for each in model.head.csra_heads]
        return samples, torch.stack(maps, 1)
    evidence = F.conv2d(feats[-1], model.head.fc.weight[..., None, None]).float().relu()
    total = evidence.sum((2, 3), keepdim=True)
    return samples, (evidence / total.clamp(min=torch.finfo(total.dtype).tiny))[:, None]


def _residual(head: nn.Module, feats: Tensor) -> Tensor:
    """Return the softmax over the cells, ``(B, C, H, W)``, of one head of CSRA."""
    scores = head.head(feats) / head.head.weight.norm(dim=1, keepdim=True).transpose(0, 1)
    return (scores * head.T).flatten(2).softmax(2).unflatten(2, scores.shape[2:])
