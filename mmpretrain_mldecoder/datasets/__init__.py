"""Datasets, samplers and transforms registered in MMPretrain's registries."""

from . import transforms
from .class_balanced_sampler import ClassBalancedSampler
from .coco_annotations import CocoAnnotations, read_coco_annotations
from .coco_multi_label import COCOMultiLabel
from .coco_samples import CocoSamples, PackedStrings
from .seeded_datasets import SeededImageNet, SeededVOC
from .seeded_sampler import (
    SampleIndex,
    SeededDataset,
    SeededSampler,
    SeededSamplesMixin,
    sample_random_state,
)

__all__ = [
    'COCOMultiLabel',
    'ClassBalancedSampler',
    'CocoAnnotations',
    'CocoSamples',
    'PackedStrings',
    'SampleIndex',
    'SeededDataset',
    'SeededImageNet',
    'SeededSampler',
    'SeededSamplesMixin',
    'SeededVOC',
    'read_coco_annotations',
    'sample_random_state',
    'transforms',
]
