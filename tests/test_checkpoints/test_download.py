import re
import resource
from pathlib import Path

import pytest
from gloo_ranks import in_processes
from web_server import Answer, serve

from mmpretrain_mldecoder.checkpoints.download import (
    download,
    download_folder,
    download_once,
    find_or_download,
)

BODY = bytes(range(256)) * 12_000  # 3 MB: several chunks


@pytest.fixture
def server():
    with serve() as server:
        yield server


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    assert download_folder() == tmp_path / 'hub' / 'checkpoints'
    return download_folder()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_file_is_complete_and_alone(tmp_path, server, capfd):
    server.answers['/a.pth'] = Answer(BODY)
    download(f'{server.url}/a.pth?version=1', tmp_path / 'new' / 'b.pth')
    assert (tmp_path / 'new' / 'b.pth').read_bytes() == BODY
    assert names(tmp_path / 'new') == ['b.pth']
    printed = capfd.readouterr()
    assert 'b.pth' in printed.err and '3.1/3.1 MB' in printed.err and printed.out == ''


@pytest.mark.parametrize(
    ('answer', 'reason'),
    [
        (Answer(status=403), 'the server answers 403 Forbidden'),
        (Answer(BODY[:-1], length=len(BODY)), f'only {len(BODY) - 1} of {len(BODY)} bytes came'),
        (Answer(b'<html>sign in</html>', content_type='text/html'), 'with a web page'),
    ],
)
def test_bad_answer_leaves_nothing_and_keeps_the_old_file(tmp_path, server, answer, reason):
    server.answers['/a.pth'] = answer
    path = tmp_path / 'a.pth'
    path.write_bytes(b'old')
    with pytest.raises(ConnectionError, match=rf'a.pth cannot be downloaded.*{reason}') as caught:
        download(f'{server.url}/a.pth', path)
    assert str(caught.value).endswith(f'Get the file elsewhere and put it at {path}')
    assert names(tmp_path) == ['a.pth'] and path.read_bytes() == b'old'


def test_write_that_fails_leaves_nothing(tmp_path, server):
    # A limit on the size of a file fails in the middle, as a full disk does.
    server.answers['/a.pth'] = Answer(BODY)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, limits[1]))
    try:
        with pytest.raises(OSError, match=r'cannot be written to .*TORCH_HOME') as caught:
            download(f'{server.url}/a.pth', tmp_path / 'a.pth')
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert 'File too large' in str(caught.value) and not isinstance(caught.value, ConnectionError)
    assert names(tmp_path) == []


def test_folder_that_cannot_be_made(tmp_path, server):
    server.answers['/a.pth'] = Answer(BODY)
    (tmp_path / 'file').touch()
    with pytest.raises(OSError, match=r'cannot be written to .*TORCH_HOME.* put it at'):
        download(f'{server.url}/a.pth', tmp_path / 'file' / 'hub' / 'a.pth')


# ---- which file is whose


def test_addresses_of_one_file_name_have_a_file_each(folder, server):
    addresses = ['/run1/a.pth', '/run2/a.pth', '/run2/a.pth?version=2']
    for number in [0, 1, 2, 0, 1, 2]:
        server.answers[addresses[number].partition('?')[0]] = Answer(f'file {number}'.encode())
        found = download_once(server.url + addresses[number])
        assert found.name == 'a.pth' and found.read_text() == f'file {number}'
    assert len(server.requests) == 3
    assert download_once(f'{server.url}/run1/a.pth#part') == folder / 'a.pth'
    assert len(names(folder)) == 3 and 'a.pth' in names(folder)


def test_a_file_that_lies_there_belongs_to_the_first_address(folder, server):
    folder.mkdir(parents=True)
    (folder / 'a.pth').write_bytes(b'by hand, or by torch.hub')
    server.answers['/run2/a.pth'] = Answer(b'two')
    for _ in range(2):
        assert download_once(f'{server.url}/run1/a.pth') == folder / 'a.pth'
        assert download_once(f'{server.url}/run2/a.pth').read_bytes() == b'two'
    assert server.requests == ['/run2/a.pth']


def test_name_of_a_failed_download_stays_that_of_its_address(folder, server):
    with pytest.raises(ConnectionError, match=re.escape(f'put it at {folder / "a.pth"}')):
        download_once(f'{server.url}/run1/a.pth')
    with pytest.raises(ConnectionError, match=rf'put it at {folder}/\w{{16}}/a.pth') as caught:
        download_once(f'{server.url}/run2/a.pth')
    path = Path(str(caught.value).rpartition(' ')[2])
    path.parent.mkdir(parents=True)
    path.write_bytes(b'by hand')
    assert download_once(f'{server.url}/run2/a.pth') == path


def test_folder_that_cannot_be_written_but_holds_the_file(folder, server):
    folder.mkdir(parents=True)
    (folder / 'a.pth').touch()
    (folder.parent / 'addresses').touch()  # no folder can be made in its place
    assert download_once(f'{server.url}/a.pth') == folder / 'a.pth'


@pytest.mark.parametrize('path', ['', '/', '/a/..', '/?file=a.pth'])
def test_address_without_the_name_of_a_file(folder, server, path):
    with pytest.raises(ValueError, match='does not end in the name of a file'):
        download_once(server.url + path)
    assert server.requests == []


def download_two(rank: int, world_size: int, url: str, folder: Path) -> list[str]:
    """What comes of a file that the server has, and of one that it has not."""
    results = []
    for name in ('a.pth', 'absent.pth'):
        path = folder / name
        try:
            found = find_or_download(
                lambda path=path: path if path.is_file() else None, f'{url}/{name}', path
            )
            results.append(str(found.stat().st_size))
        except ConnectionError as error:
            results.append(str(error))
    return results


def test_one_rank_downloads_and_none_waits_for_ever(tmp_path, server):
    server.answers['/a.pth'] = Answer(BODY)
    folder = tmp_path / 'downloads'
    first, second = in_processes(download_two, 2, tmp_path / 'ranks', server.url, folder)
    assert first[0] == second[0] == str(len(BODY))
    assert 'the server answers 404' in first[1]
    assert 'LOCAL_RANK 0) failed, and its error says why' in second[1]
    assert server.requests == ['/a.pth', '/absent.pth']
    assert names(folder) == ['a.pth']
