import pytest
from gloo_ranks import in_processes

from mmpretrain_mldecoder.engine.distributed.agree import on_main_process
from mmpretrain_mldecoder.errors import RunError


def _outcomes(rank, world_size):
    calls = []

    def act(raised=None):
        calls.append(rank)
        if raised is not None:
            raise raised
        return f'by {rank}'

    found = [on_main_process(act)]
    for error in (RunError('no room'), OSError(28, 'full'), KeyError('x')):
        try:
            on_main_process(lambda error=error: act(error))
        except Exception as raised:
            found.append((type(raised).__name__, str(raised)))
    return found, len(calls)


def test_all_processes_return_or_raise_what_the_first_does(tmp_path):
    (first, num_calls), (second, num_other_calls) = in_processes(_outcomes, 2, tmp_path / 'ranks')
    assert (num_calls, num_other_calls) == (4, 0)
    assert first == [
        'by 0',
        ('RunError', 'no room'),
        ('OSError', '[Errno 28] full'),
        ('KeyError', "'x'"),
    ]
    assert second == [*first[:-1], ('RunError', "the first process ended: KeyError: 'x'")]


def test_alone():
    assert on_main_process(lambda: 5) == 5
    with pytest.raises(KeyError):
        on_main_process(lambda: {}['x'])
