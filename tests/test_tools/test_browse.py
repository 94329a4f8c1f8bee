from pathlib import Path

import pytest
from faulty_images import encoded, photo, write_dataset
from tiny_run import ROOT, load_main, refusal

CONFIG = ROOT / 'configs/mldecoder/r50_coco.py'
main = load_main('dataset_tools/browse')


@pytest.fixture
def run(capsys, tmp_path):
    """Run the tool in this process on a dataset; its exit status and what it printed."""

    def run_tool(root, *args) -> tuple[int, str]:
        roots = [
            f'{split}_dataloader.dataset.data_root={root}' for split in ('train', 'val', 'test')
        ]
        out = ['--out-dir', str(tmp_path / 'out'), '--images=1', '--draws=1', '--workers=1']
        status = main([str(CONFIG), *out, *args, '--cfg-options', *roots])
        return status, capsys.readouterr().out

    return run_tool


def dataset(tmp_path, **train) -> Path:
    files = {'a.jpg': encoded(photo(0)), 'b.jpg': encoded(photo(1)), **train}
    labels = {name: [0, 1] for name in files}
    labels['v.jpg'] = [0, 1]
    splits = dict(train=files, val={'v.jpg': encoded(photo(2))})
    return write_dataset(tmp_path / 'data', splits, labels)


def test_a_clean_dataset_ends_with_0(run, tmp_path):
    status, printed = run(dataset(tmp_path))
    assert status == 0
    assert 'missing files, unreadable images' in printed.split('not found:')[1]
    names = ['cooccurrence', 'label_counts', 'labels_per_image', 'sheet_train', 'sheet_val']
    written = sorted(path.name for path in (tmp_path / 'out').iterdir())
    assert written == sorted([*(f'{name}.png' for name in names), 'findings.json'])


def test_a_note_ends_with_0(run, tmp_path):
    status, printed = run(dataset(tmp_path, grey=encoded(photo(5), mode='L')))
    assert status == 0
    assert 'greyscale images' in printed.split('not found:')[0]


def test_a_missing_file_ends_with_1_if_files_are_looked_for(run, tmp_path):
    data = dataset(tmp_path, absent=None)
    status, printed = run(data)
    assert (status, 'missing files (!)' in printed) == (1, True)
    status, printed = run(data, '--no-files', '--images=0')
    assert (status, 'missing files' in printed.split('not looked for:')[1]) == (0, True)


def test_what_is_wrong_is_named(run, tmp_path, capsys):
    data = dataset(tmp_path)
    assert 'leave one out' in refusal(capsys, run, data, '--quick', '--no-files')
    assert 'images must be at least 0' in refusal(capsys, run, data, '--images=-1')
    assert 'no annotations there' in refusal(capsys, run, tmp_path / 'nowhere')
    assert 'no config at absent.py' in refusal(capsys, main, ['absent.py'])
