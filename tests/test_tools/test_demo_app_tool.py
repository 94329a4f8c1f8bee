import sys

import pytest
from tiny_run import load_main, refusal


@pytest.fixture
def refused(monkeypatch, capsys):
    """Run the tool, which is to end in one line."""

    def run(*args) -> str:
        monkeypatch.setattr(sys, 'argv', ['demo_app.py', *map(str, args)])
        return refusal(capsys, load_main('demo_app'))

    return run


def test_missing_gradio_is_named_with_the_command(refused, monkeypatch):
    monkeypatch.setitem(sys.modules, 'gradio', None)  # as if it were not installed
    module = 'mmpretrain_mldecoder.analysis.web_demo.demo_app'
    monkeypatch.delitem(sys.modules, module, raising=False)
    line = refused('config.py', 'checkpoint.pth')
    assert 'pip install gradio' in line


@pytest.mark.parametrize('port', [0, 65536])
def test_impossible_port_is_named(refused, port):
    line = refused('config.py', 'checkpoint.pth', '--port', port)
    assert f'--port must be from 1 to 65535, but is {port}' in line


@pytest.mark.parametrize(
    ('text', 'named'),
    [(None, 'config.py'), ('model = (', 'never closed'), ('model = dict()', 'test_dataloader')],
)
def test_wrong_config_is_one_line(refused, tmp_path, text, named):
    pytest.importorskip('gradio')
    config = tmp_path / 'config.py'
    if text is not None:
        config.write_text(text)
    assert named in refused(config, 'checkpoint.pth')
