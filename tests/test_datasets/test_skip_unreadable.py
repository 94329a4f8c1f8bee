import gc
import json
import traceback
from pathlib import Path

import pytest
from coco_dataset import coco_split
from faulty_images import encoded, photo, write_dataset
from mmpretrain.registry import DATASETS
from torch.utils.data import DataLoader

from mmpretrain_mldecoder.datasets import SampleIndex
from mmpretrain_mldecoder.datasets.skip_unreadable import read_unreadable
from mmpretrain_mldecoder.errors import TooManyUnreadableError, UnreadableImageError

PIPELINE = [dict(type='LoadWholeImage'), dict(type='RandomCrop', crop_size=8)]


def build(root: Path, bad: dict[str, bytes], **options):
    """Twelve images, of which some are bad."""
    files = {f'{i}.jpg': encoded(photo(i)) for i in range(12)} | bad
    write_dataset(root, dict(train=files), {})
    return DATASETS.build(coco_split(root, pipeline=PIPELINE, **options))


def sample(dataset, index: int, seed: int) -> tuple:
    results = dataset[SampleIndex(index, seed)]
    return results['sample_idx'], results['img'].tobytes()


def test_another_sample_of_the_same_seed_takes_the_place(tmp_path):
    dataset = build(tmp_path, {'3.jpg': b'', '4.jpg': b'<html>'})
    replacements = [sample(dataset, 3, seed) for seed in range(40)]
    assert [sample(dataset, 3, seed) for seed in range(40)] == replacements
    indices = {index for index, _ in replacements}
    assert indices <= set(range(12)) - {3, 4} and len(indices) > 5
    # what is drawn of a good image is what would be drawn without bad ones
    clean = build(tmp_path / 'clean', {})
    assert sample(dataset, 5, 7) == sample(clean, 5, 7)


@pytest.mark.parametrize('test_mode', [True, False])
def test_a_test_and_a_validation_stop_and_name_the_path(tmp_path, test_mode):
    dataset = build(tmp_path, {'3.jpg': b''}, test_mode=test_mode)
    dataset.skips_unreadable = test_mode
    with pytest.raises(UnreadableImageError, match=r'train2017/3\.jpg: the file is empty'):
        dataset[3]


@pytest.mark.parametrize('shared', [False, True])
def test_as_many_as_allowed_and_no_more(tmp_path, shared):
    bad = {f'{i}.jpg': b'' for i in (1, 3, 5)}
    dataset = build(tmp_path, bad, max_unreadable=2)
    if shared:
        dataset.unreadable.file = tmp_path / 'unreadable.jsonl'
    for _ in range(5):  # one that is met again counts once
        assert dataset.prepare_data(1) is None and dataset.prepare_data(3) is None
    with pytest.raises(TooManyUnreadableError) as error:
        dataset.prepare_data(5)
    assert '3 images cannot be read, more than max_unreadable=2' in str(error.value)
    for i in (1, 3, 5):
        assert f'train2017/{i}.jpg (the file is empty)' in str(error.value)
    assert ('unreadable.jsonl' in str(error.value)) == shared


@pytest.mark.parametrize('number', [-1, 1.5, None])
def test_max_unreadable_out_of_range(tmp_path, number):
    with pytest.raises(ValueError, match=f'max_unreadable is an int of at least 0, not {number}'):
        build(tmp_path, {}, max_unreadable=number)


def test_processes_count_together(tmp_path):
    """Two workers meet two bad images each; three are allowed."""
    bad = {f'{i}.jpg': b'' for i in (0, 1, 2, 3)}
    dataset = build(tmp_path, bad, max_unreadable=3)
    dataset.unreadable.file = tmp_path / 'unreadable.jsonl'
    indices = [SampleIndex(i, 9) for i in range(12)]
    loader = DataLoader(
        dataset, batch_sampler=[indices[i::2] for i in range(2)], num_workers=2, collate_fn=list
    )
    with pytest.raises(TooManyUnreadableError) as caught:
        list(loader)
    said = str(caught.value)
    traceback.clear_frames(caught.tb)
    del caught
    gc.collect()  # torch keeps its error in a circle, and with it the workers
    assert said.startswith('4 images cannot be read, more than max_unreadable=3 of the dataset: ')
    assert 'Traceback' not in said
    lines = (tmp_path / 'unreadable.jsonl').read_text().splitlines()
    assert {Path(json.loads(line)['path']).name for line in lines} == set(bad)
    assert set(read_unreadable(tmp_path / 'unreadable.jsonl').values()) == {'the file is empty'}


def test_imagenet_skips_too(tmp_path):
    for folder in ('a', 'b'):
        (tmp_path / 'train' / folder).mkdir(parents=True)
        for i in range(3):
            (tmp_path / 'train' / folder / f'{i}.jpg').write_bytes(encoded(photo(i)))
    (tmp_path / 'train' / 'a' / '1.jpg').write_bytes(b'')
    options = dict(split='train', classes=['a', 'b'], pipeline=PIPELINE, max_unreadable=1)
    dataset = DATASETS.build(dict(type='SeededImageNet', data_root=str(tmp_path), **options))
    assert dataset[SampleIndex(1, 0)]['img'].shape == (8, 8, 3)
    assert list(dataset.unreadable._own.values()) == ['the file is empty']


@pytest.mark.parametrize(
    'tail', ['{"path": "b.jp', '\0' * 20, '[]', '{"path": 1, "reason": 2}', '{}']
)
def test_a_line_that_is_not_whole_is_left_out(tmp_path, tail):
    dataset = build(tmp_path, {'3.jpg': b'', '4.jpg': b'', '5.jpg': b''}, max_unreadable=2)
    dataset.unreadable.file = tmp_path / 'unreadable.jsonl'
    sample(dataset, 3, 0)
    found = read_unreadable(dataset.unreadable.file)
    with dataset.unreadable.file.open('a') as file:
        file.write(tail + '\n')
    assert read_unreadable(dataset.unreadable.file) == found
    with pytest.raises(TooManyUnreadableError, match='3 images cannot be read'):
        for index in (3, 4, 5):
            sample(dataset, index, 0)
