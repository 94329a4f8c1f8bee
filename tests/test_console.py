"""The command ``mldecoder``."""

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
