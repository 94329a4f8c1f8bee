import runpy
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / 'tools' / 'demo_app.py'


def refusal(monkeypatch, capsys, *args) -> str:
    """Run the tool, which is to end in one line."""
    monkeypatch.setattr(sys, 'argv', [str(TOOL), *map(str, args)])
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(TOOL), run_name='__main__')
    assert stop.value.code == 2
    return capsys.readouterr().err.splitlines()[-1]


def test_missing_gradio_is_named_with_the_command(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, 'gradio', None)  # as if it were not installed
    monkeypatch.delitem(
        sys.modules, 'mmpretrain_mldecoder.analysis.web_demo.demo_app', raising=False
    )
    line = refusal(monkeypatch, capsys, 'config.py', 'checkpoint.pth')
    assert "gradio: pip install 'mmpretrain_mldecoder[app]'" in line


@pytest.mark.parametrize('port', [0, 65536])
def test_impossible_port_is_named(monkeypatch, capsys, port):
    line = refusal(monkeypatch, capsys, 'config.py', 'checkpoint.pth', '--port', port)
    assert f'--port must be from 1 to 65535, but is {port}' in line


def test_missing_files_are_named(monkeypatch, capsys, tmp_path):
    pytest.importorskip('gradio')
    line = refusal(monkeypatch, capsys, tmp_path / 'config.py', 'checkpoint.pth')
    assert 'config.py' in line


@pytest.mark.parametrize(
    ('text', 'named'), [('model = (', 'never closed'), ('model = dict()', 'test_dataloader')]
)
def test_wrong_config_is_one_line(monkeypatch, capsys, tmp_path, text, named):
    pytest.importorskip('gradio')
    config = tmp_path / 'config.py'
    config.write_text(text)
    assert named in refusal(monkeypatch, capsys, config, 'checkpoint.pth')
