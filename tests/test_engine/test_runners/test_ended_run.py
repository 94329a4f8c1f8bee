import errno

import pytest

from mmpretrain_mldecoder.engine.runners.exit import ends_in_one_line
from mmpretrain_mldecoder.errors import RunError


@pytest.mark.parametrize(
    ('error', 'status', 'line'),
    [
        (RunError('no loss; try another'), 1, 'error: no loss; try another\n'),
        (
            OSError(errno.EROFS, 'Read-only file system', '/mnt/run'),
            1,
            'error: /mnt/run: Read-only file system. Make room or choose another folder\n',
        ),
        (
            OSError(errno.ENOSPC, 'No space left on device'),
            1,
            'error: No space left on device. Make room or choose another folder\n',
        ),
        (
            OSError(errno.ENAMETOOLONG, 'File name too long', 'x'),
            1,
            'error: x: File name too long. Make room or choose another folder\n',
        ),
        (
            PermissionError(errno.EPERM, 'Operation not permitted', '/sys/x'),
            1,
            'error: /sys/x: Operation not permitted. Make room or choose another folder\n',
        ),
        (
            IsADirectoryError(errno.EISDIR, 'Is a directory', 'run/tiny.py'),
            1,
            'error: run/tiny.py: Is a directory. Make room or choose another folder\n',
        ),
        (ConnectionError('http://x is not there'), 1, 'error: http://x is not there\n'),
        (KeyboardInterrupt(), 130, 'interrupted: all is kept\n'),
    ],
)
def test_one_line_and_a_status(capsys, error, status, line):
    with pytest.raises(SystemExit) as caught, ends_in_one_line('all is kept'):
        raise error
    assert caught.value.code == status
    assert capsys.readouterr() == ('', line)


@pytest.mark.parametrize(
    'error',
    [KeyError('x'), OSError(errno.EIO, 'x'), OSError('x'), ConnectionResetError(errno.EPIPE, 'x')],
)
def test_a_fault_of_ours_keeps_its_traceback(error):
    with pytest.raises(type(error)), ends_in_one_line(''):
        raise error
