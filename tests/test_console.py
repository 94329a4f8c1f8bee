"""The command ``mldecoder``."""

import os
import subprocess
import sys

import pytest

from mmpretrain_mldecoder import console


def test_every_command_has_a_program_and_is_listed(capsys):
    console.main([])
    listed = capsys.readouterr().out
    for name, program in console.COMMANDS.items():
        assert 'def main(argv' in (console.TOOLS / program).read_text()
        assert f'\n  {name:12}' in listed


def test_arguments_after_the_command_are_those_of_its_program(monkeypatch, capsys):
    monkeypatch.setattr('sys.argv', ['mldecoder', 'convert', '--help'])
    with pytest.raises(SystemExit) as end:
        console.main()
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith('usage: mldecoder convert')


def test_unknown_command_names_those_there_are():
    with pytest.raises(SystemExit, match=r"'tran'.*train, test"):
        console.main(['tran'])


def test_exit_status_is_that_of_the_program(tmp_path, monkeypatch):
    (tmp_path / 'a.py').write_text('def main(argv):\n    return int(argv[0])\n')
    monkeypatch.setattr(console, 'TOOLS', tmp_path)
    monkeypatch.setattr(console, 'COMMANDS', dict(a='a.py'))
    monkeypatch.setattr('sys.argv', ['mldecoder'])
    with pytest.raises(SystemExit) as end:
        console.main(['a', '3'])
    assert end.value.code == 3


@pytest.mark.parametrize('unbuffered', ['', '1'])
def test_it_ends_quietly_when_nobody_reads_on(unbuffered):
    reader, writer = os.pipe()
    os.close(reader)
    ended = subprocess.run(
        [sys.executable, '-m', 'mmpretrain_mldecoder.console'],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | dict(PYTHONUNBUFFERED=unbuffered),
    )
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (141, '')


def test_a_broken_pipe_that_is_not_its_output_is_an_error(monkeypatch, tmp_path):
    (tmp_path / 'a.py').write_text('def main(argv):\n    raise BrokenPipeError\n')
    monkeypatch.setattr(console, 'TOOLS', tmp_path)
    monkeypatch.setattr(console, 'COMMANDS', dict(a='a.py'))
    monkeypatch.setattr('sys.argv', ['mldecoder'])
    with (tmp_path / 'out').open('w') as out, pytest.raises(BrokenPipeError):
        monkeypatch.setattr('sys.stdout', out)
        console.main(['a'])


def test_ctrl_c_ends_any_command_in_one_line(monkeypatch, capsys):
    def interrupted(arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(console, '_run', interrupted)
    with pytest.raises(SystemExit) as end:
        console.main(['browse'])
    assert (end.value.code, capsys.readouterr().err) == (130, 'interrupted\n')
