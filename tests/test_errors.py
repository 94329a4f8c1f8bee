import errno
import re

import pytest

from mmpretrain_mldecoder.errors import (
    ConfigError,
    ConfigFileNotFoundError,
    Preempted,
    RunError,
    exit_on_error,
)

FIX = 'Make room or choose another folder'


@pytest.mark.parametrize(
    ('error', 'status', 'line'),
    [
        (RunError('no loss; try another'), 1, 'error: no loss; try another'),
        (ConfigError('a = 1'), 2, 'error: a = 1'),
        (ConfigFileNotFoundError('no file a'), 2, 'error: no file a'),
        (OSError(errno.ENOSPC, 'No space left'), 1, f'error: No space left. {FIX}'),
        (IsADirectoryError(errno.EISDIR, 'Is a directory', 'a'), 1, f'error: a: Is a dir.*{FIX}'),
        (
            PermissionError(errno.EPERM, 'Not permitted', '/x'),
            1,
            f'error: /x: Not permitted. {FIX}',
        ),
        (ConnectionError('http://x is not there'), 1, 'error: http://x is not there'),
        (Preempted('stopped by SIGTERM', all_together=True), 75, 'stopped by SIGTERM'),
        (KeyboardInterrupt(), 130, 'interrupted: all is kept'),
    ],
)
def test_one_line_and_a_status(capsys, error, status, line):
    with pytest.raises(SystemExit) as caught, exit_on_error('all is kept'):
        raise error
    assert caught.value.code == status
    out, err = capsys.readouterr()
    assert out == '' and re.fullmatch(f'{line}\n', err)


@pytest.mark.parametrize(
    'error',
    [KeyError('x'), OSError(errno.EIO, 'x'), OSError('x'), ConnectionResetError(errno.EPIPE, 'x')],
)
def test_other_errors_keep_their_traceback(error):
    with pytest.raises(type(error)), exit_on_error(''):
        raise error


def test_other_ranks_say_nothing_of_a_signal(capsys):
    with pytest.raises(Preempted), exit_on_error(''):
        raise Preempted('', all_together=True)
    assert capsys.readouterr().err == ''
