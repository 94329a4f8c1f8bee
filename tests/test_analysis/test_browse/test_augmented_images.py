import numpy as np
import pytest
import torch
from faulty_images import encoded, photo, write_dataset
from mmengine.config import Config

from mmpretrain_mldecoder.analysis.browse.browse_dataset import (
    augmented_images,
    batch_augmentations,
)
from mmpretrain_mldecoder.analysis.browse.dataset_split import read_split
from mmpretrain_mldecoder.engine import PortableRunner

PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='SquareResize', scale=24),
    dict(type='RandomCutout', size=0.5),
    dict(type='PackInputs'),
]


@pytest.fixture
def cfg(tmp_path) -> Config:
    files = {f'{seed}.png': encoded(photo(seed), 'PNG') for seed in range(7)}
    root = write_dataset(tmp_path / 'data', dict(train=files), {'3.png': [0, 1], '4.png': []})
    dataset = dict(
        type='COCOMultiLabel',
        data_root=str(root),
        ann_file='annotations/instances_train2017.json',
        data_prefix='train2017',
        pipeline=PIPELINE,
    )
    loader = dict(
        dataset=dataset,
        batch_size=7,
        num_workers=0,
        sampler=dict(type='SeededSampler', shuffle=True),
        collate_fn=dict(type='default_collate'),
    )
    return Config(dict(default_scope='mmpretrain', train_dataloader=loader))


def test_draws_are_what_training_sees(cfg):
    """Through the loader of a training, epoch after epoch."""
    images = augmented_images(read_split(cfg, 'train'), images=7, draws=2, seed=5)
    loader = PortableRunner.build_dataloader(cfg.train_dataloader, seed=5)
    for epoch in range(2):
        loader.sampler.set_epoch(epoch)
        (batch,) = loader
        for inputs, sample in zip(batch['inputs'], batch['data_samples'], strict=True):
            drawn = images[sample.sample_idx].tiles[1 + epoch]
            assert torch.equal(torch.from_numpy(drawn).permute(2, 0, 1), inputs)


def test_what_stands_beside_them(cfg):
    images = augmented_images(read_split(cfg, 'train'), images=7, draws=2)
    assert [image.title for image in images] == [f'{i}.png' for i in range(7)]
    assert [list(images[i].labels) for i in (2, 3, 4)] == [['thing'], ['thing', 'other'], []]
    assert list(images[0].captions) == [
        'original, 80 x 60',
        'epoch 1, 24 x 24',
        'epoch 2, 24 x 24',
    ]
    assert np.array_equal(images[0].tiles[0][..., ::-1], photo(0))


def test_some_are_chosen_broken_ones_are_not_and_random_states_stay(cfg):
    split = read_split(cfg, 'train')
    np.random.seed(3)
    expected = np.random.rand()
    np.random.seed(3)
    titles = [[p.title for p in augmented_images(split, 3, 1, seed)] for seed in (0, 0, 1)]
    assert titles[0] == titles[1] != titles[2]
    assert np.random.rand() == expected
    rest = augmented_images(split, 7, 1, broken=set(split.paths[1:]))
    assert [image.title for image in rest] == ['0.png']


def test_a_pipeline_that_fails_is_named(cfg):
    cfg.train_dataloader.dataset.pipeline = [PIPELINE[0], dict(type='NumpyToPIL'), *PIPELINE[1:]]
    with pytest.raises(ValueError, match=r'the train pipeline fails on .*0\.png'):
        augmented_images(read_split(cfg, 'train'), 7, 1)
    cfg.train_dataloader.dataset.pipeline = PIPELINE[:2]
    with pytest.raises(ValueError, match='end it with PackInputs'):
        augmented_images(read_split(cfg, 'train'), 7, 1)


@pytest.mark.parametrize(
    'content, expected',
    [
        (dict(model=dict(head=dict())), []),
        (dict(model=dict(train_cfg=dict(augments=dict(type='Mixup', alpha=0.2)))), ['Mixup']),
        (dict(model=dict(train_cfg=dict(augments='CutMix'))), ['CutMix']),
        (
            dict(
                data_preprocessor=dict(
                    batch_augments=dict(augments=[dict(type='Mixup'), dict(type='CutMix')])
                )
            ),
            ['Mixup', 'CutMix'],
        ),
    ],
)
def test_batch_augmentations_are_named(content, expected):
    assert batch_augmentations(Config(content)) == expected
