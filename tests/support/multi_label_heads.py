"""The heads that any multi-label loss must work with, tiny, and a batch with unknown labels."""

import torch
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import Tensor, nn

import mmpretrain_mldecoder  # noqa: F401  (registers heads and losses)

NUM_CLASSES = 4
HEADS = dict(
    decoder=dict(type='MLDecoderHead', embed_dims=8, num_heads=2, feedforward_channels=8),
    linear=dict(type='MultiLabelLinearClsHead'),
    csra=dict(type='CSRAClsHead', num_heads=1, lam=0.1),
)
TARGETS = torch.tensor([[1.0, 0, -1, -1], [-1, 1, 0, 0], [-1, -1, -1, -1], [0, 0, 0, -1]])


def gradients(head: str, loss: dict, feats: Tensor) -> list[Tensor]:
    """Return those of all parameters of the head for a batch of :data:`TARGETS`."""
    torch.manual_seed(0)
    config = dict(HEADS[head], num_classes=NUM_CLASSES, in_channels=6, loss=loss)
    module: nn.Module = MODELS.build(config).eval()  # no dropout
    samples = [DataSample().set_gt_score(row) for row in TARGETS]
    value = module.loss((feats if head != 'linear' else feats.mean((2, 3)),), samples)['loss']
    value.backward()
    assert value.isfinite() and value > 0
    return [each.grad for each in module.parameters() if each.requires_grad]
