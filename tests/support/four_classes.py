"""A model of four classes for the fake COCO, and the scores that a test run would give."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import default_collate
from mmpretrain.registry import DATASETS, MODELS

CLASSES = ('ant', 'bee', 'cat', 'dog')


def tiny_config(root) -> Config:
    """A four-class model of a few thousand weights, and the demo's kind of test pipeline."""
    return Config(
        dict(
            custom_imports=dict(imports=['mmpretrain_mldecoder'], allow_failed_imports=False),
            default_scope='mmpretrain',
            data_preprocessor=dict(mean=[100, 110, 120], std=[60, 50, 40], to_rgb=True),
            model=dict(
                type='ImageClassifier',
                backbone=dict(type='ResNet', depth=18, stem_channels=8, base_channels=8),
                head=dict(
                    type='MLDecoderHead',
                    num_classes=4,
                    in_channels=64,
                    embed_dims=16,
                    num_heads=2,
                    feedforward_channels=16,
                    loss=dict(type='DetachedAsymmetricLoss'),
                ),
            ),
            test_evaluator=dict(type='MultiLabelMAP'),
            test_cfg=dict(),
            test_dataloader=dict(
                batch_size=3,
                num_workers=0,
                sampler=dict(type='DefaultSampler', shuffle=False),
                dataset=dict(
                    type='COCOMultiLabel',
                    data_root=str(root),
                    ann_file='annotations/instances_val2017.json',
                    data_prefix='val2017',
                    test_mode=True,
                    pipeline=[
                        dict(type='LoadImageFromFile'),
                        dict(type='Resize', scale=(32, 32), interpolation='bilinear'),
                        dict(
                            type='PackInputs',
                            meta_keys=('sample_idx', 'img_path', 'instance_labels'),
                        ),
                    ],
                ),
            ),
        )
    )


def write_checkpoint(config: Config, path: Path, classes=CLASSES, **meta) -> Path:
    """Write a checkpoint of random weights whose scores spread, and return its path."""
    torch.manual_seed(0)
    model = MODELS.build(config.model)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    meta['dataset_meta'] = dict(classes=classes)
    torch.save(dict(state_dict=model.state_dict(), meta=meta), path)
    return path


@torch.no_grad()
def assert_scores_of_a_test_run(predictions, config, checkpoint):
    """Compare with the dataset and the model as a test run uses them, in batches of 3."""
    dataset = DATASETS.build(config.test_dataloader.dataset)
    model = MODELS.build(config.model | dict(data_preprocessor=config.data_preprocessor)).eval()
    model.load_state_dict(torch.load(checkpoint, weights_only=True)['state_dict'])
    expected = []
    for start in range(0, len(dataset), 3):
        items = [dataset[i] for i in range(start, min(start + 3, len(dataset)))]
        samples = model.test_step(default_collate(items))
        expected += [sample.pred_score for sample in samples]
    assert len(predictions) == len(expected) == 7
    # the images differ, so that equality says something
    assert torch.stack(expected).std(0).min() > 1e-3
    for prediction, scores in zip(predictions, expected, strict=True):
        got = dict(zip(prediction['labels'], prediction['scores'], strict=True))
        # Folded batch norms round otherwise, and ONNX Runtime sums in another order.
        assert [got[name] for name in CLASSES] == pytest.approx(scores.tolist(), abs=1e-5)
        assert prediction['scores'] == sorted(prediction['scores'], reverse=True)
