import json
import re
from pathlib import Path

import pytest
from tiny_run import WORKER, load_tool, write_tiny_config

run_train, run_test = load_tool('train'), load_tool('test')

OUR_LOADER = """
for loader in (train_dataloader, val_dataloader):
    loader['dataset']['pipeline'][0] = dict(type='LoadWholeImage')
del loader
"""


def config_with(folder: Path, bad: dict[str, bytes | None], more: str = '') -> Path:
    """Write the tiny config; ``bad`` images get other contents, or are removed for None."""
    config = write_tiny_config(folder, OUR_LOADER + more)
    for name, content in bad.items():
        path = folder / 'coco' / name
        path.unlink() if content is None else path.write_bytes(content)
    return config


@pytest.fixture
def error_of(capsys):
    """What runs a tool that must end with status 1, and returns the last line of its errors."""

    def error_of(tool, *arguments) -> str:
        with pytest.raises(SystemExit) as ended:
            tool(*arguments)
        assert ended.value.code == 1
        return capsys.readouterr().err.strip().splitlines()[-1]

    return error_of


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A config and its training with two images that are none, and what it printed."""
    folder = tmp_path_factory.mktemp('skipped')
    half = write_tiny_config(folder).parent / 'coco/train2017/000000000007.jpg'
    bad = {
        'train2017/000000000005.jpg': b'<html>',
        'train2017/000000000007.jpg': half.read_bytes()[:900] + bytes(2000),
    }
    config = config_with(folder, bad, WORKER + "train_cfg['max_epochs'] = 2\n")
    run_train(config, '--work-dir', folder / 'run')
    return config, folder / 'run'


def test_images_are_skipped_counted_and_logged(trained):
    work_dir = trained[1]
    assert (work_dir / 'epoch_2.pth').is_file()
    (file,) = work_dir.glob('*/unreadable_images.jsonl')
    records = map(json.loads, file.read_text().splitlines())
    found = {Path(record['path']).name: record['reason'] for record in records}
    assert found.keys() == {'000000000005.jpg', '000000000007.jpg'}
    assert 'it is a web page' in found['000000000005.jpg']
    assert found['000000000007.jpg'] == 'it ends after 2,900 bytes'
    (log,) = work_dir.glob('*/*.log')
    text = log.read_text()
    logged = re.findall(r'WARNING - cannot read image (\S+): .*; another one takes its place', text)
    assert sorted(Path(path).name for path in logged) == sorted(found)  # in two epochs, once each
    assert re.search(r'2 images could not be read, .*: see .*/unreadable_images\.jsonl', text)


def test_a_test_stops_with_the_path(trained, error_of):
    config, work_dir = trained
    image = config.parent / 'coco/val2017/000000000003.jpg'
    content = image.read_bytes()
    image.write_bytes(content[:500])
    arguments = (config, work_dir / 'epoch_2.pth', '--work-dir', work_dir.parent / 'test')
    try:
        error = error_of(run_test, *arguments)
    finally:
        image.write_bytes(content)
    assert error.startswith(f'error: cannot read image {image}: it ends after 500 bytes. Without')
    assert not list((work_dir.parent / 'test').glob('test_*.json'))


def test_a_training_stops_at_one_too_many(tmp_path, error_of):
    bad = {f'train2017/{i:012d}.jpg': b'' for i in (1, 4)}
    more = "train_dataloader['dataset']['max_unreadable'] = 1\n"
    error = error_of(run_train, config_with(tmp_path, bad, more), '--work-dir', tmp_path / 'run')
    assert error.startswith('error: 2 images cannot be read, more than max_unreadable=1 of the')
    for name in bad:
        assert f'{name} (the file is empty)' in error
    assert 'train_dataloader.dataset.max_unreadable' in error


def test_a_validation_stops_with_the_path(tmp_path, error_of):
    """The dataset has no test_mode here, with which it would raise anyway."""
    config = config_with(tmp_path, {'val2017/000000000002.jpg': b''})
    error = error_of(run_train, config, '--work-dir', tmp_path / 'run')
    assert 'val2017/000000000002.jpg: the file is empty' in error
    assert (tmp_path / 'run/epoch_1.pth').is_file()  # nothing is lost


@pytest.mark.parametrize('split, number', [('train', 12), ('val', 7)])
def test_missing_files_are_told_before_the_first_step(tmp_path, capsys, split, number):
    bad = {f'{split}2017/{i:012d}.jpg': None for i in (2, 5)}
    with pytest.raises(SystemExit) as ended:
        run_train(config_with(tmp_path, bad), '--work-dir', tmp_path / 'run')
    assert ended.value.code == 2
    out, error = capsys.readouterr()
    assert f'2 of {number} images of ' in error and 'first: 000000000002.jpg' in error
    assert 'Epoch(train)' not in out
    assert not list((tmp_path / 'run').glob('*.pth'))
