"""Backbones."""

from .resnet_vd import ResNetVd
from .timm_feature_map import TIMMFeatureMap

__all__ = ['ResNetVd', 'TIMMFeatureMap']
