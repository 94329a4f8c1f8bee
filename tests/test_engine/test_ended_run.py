import pytest

from mmpretrain_mldecoder.engine.ended_run import RunEnded, ends_in_one_line


@pytest.mark.parametrize(
    ('error', 'status', 'line'),
    [
        (RunEnded('no loss; try another'), 1, 'error: no loss; try another\n'),
        (KeyboardInterrupt(), 130, 'interrupted: all is kept\n'),
    ],
)
def test_one_line_and_a_status(capsys, error, status, line):
    with pytest.raises(SystemExit) as caught, ends_in_one_line('all is kept'):
        raise error
    assert caught.value.code == status
    assert capsys.readouterr() == ('', line)


def test_a_fault_of_ours_keeps_its_traceback():
    with pytest.raises(KeyError), ends_in_one_line(''):
        raise KeyError('x')
