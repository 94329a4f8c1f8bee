"""Models of the configs, filled with a peer's weights by the converter."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmpretrain.registry import MODELS

import mmpretrain_mldecoder  # noqa: F401
from mmpretrain_mldecoder.checkpoints.conversion import convert

CONFIGS = Path(__file__).parents[2] / 'configs'

# PaddleClas' model, as tests/peers/paddle_models.py names it: our row, and what differs from it.
PADDLE_ROWS = {
    'ResNet50': ('imagenet/r50_in1k.py', {}),
    'ResNet50-q80': ('mldecoder/r50_coco.py', {}),
    'ResNet50-q10': ('mldecoder/r50_timm_coco-q10.py', {}),
    'ResNet50_vd': ('imagenet/r50vd_in1k.py', {}),
    'ResNet50_vd-q80': ('mldecoder/r50vd_coco.py', {}),
    'ResNet50_vd-q10': ('mldecoder/r50vd_coco.py', {'model.head.num_groups': 10}),
    'PPLCNet_x1_0-q80': ('mldecoder/lcnet_coco-448px.py', {}),
    'PPHGNetV2_B0-q80': ('mldecoder/hgnetv2_b0_coco-448px.py', {}),
    'PPHGNetV2_B4-q80': ('mldecoder/hgnetv2_b4_coco-448px.py', {}),
    'PPHGNetV2_B6-q80': ('mldecoder/hgnetv2_b6_coco-448px.py', {}),
    'CLIP_vit_base_patch16_224-q80': ('mldecoder/vit_b16_clip_coco-448px.py', {}),
}


def build_row(name: str, **options: object) -> torch.nn.Module:
    """Return our model for PaddleClas' ``name``; options are dotted paths into the config."""
    row, differences = PADDLE_ROWS[name]
    config = Config.fromfile(CONFIGS / row)
    config.model.backbone.pop('init_cfg', None)
    config.merge_from_dict(differences | options)
    return MODELS.build(config.model).eval()


def build_converted(name: str, checkpoint: Mapping) -> torch.nn.Module:
    """Return it with the weights that a checkpoint of PaddleClas holds."""
    model = build_row(name)
    model.load_state_dict(convert(checkpoint).state_dict, strict=True)
    return model


def max_relative_difference(ours: torch.Tensor, expected: np.ndarray) -> float:
    """Return ``max|ours - expected| / max|expected|`` over all elements.

    Relative to the largest value, as single ones may be 0; a nan or another shape is no number
    that passes for small.
    """
    assert tuple(ours.shape) == expected.shape
    difference = np.abs(ours.numpy() - expected).max() / np.abs(expected).max()
    return float('inf') if np.isnan(difference) else float(difference)
