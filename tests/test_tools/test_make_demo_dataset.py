import runpy
import sys
from pathlib import Path

import pytest
from pycocotools.coco import COCO

TOOL = Path(__file__).parents[2] / 'tools' / 'dataset_tools' / 'make_demo_dataset.py'


@pytest.fixture
def run(monkeypatch):
    def run_tool(*args: str) -> None:
        monkeypatch.setattr(sys, 'argv', [str(TOOL), *args])
        runpy.run_path(str(TOOL), run_name='__main__')

    return run_tool


def test_writes_then_reuses_then_refuses(run, tmp_path, capsys):
    out = tmp_path / 'demo'
    args = [f'--out={out}', '--num-train=3', '--num-val=2', '--size=40', '--seed=5']
    run(*args)
    assert f'{out} is written' in capsys.readouterr().out
    for split, num in (('train', 3), ('val', 2)):
        images = COCO(out / 'annotations' / f'instances_{split}2017.json').imgs.values()
        assert [image['width'] for image in images] == [40] * num
    run(*args)
    assert f'{out} is reused' in capsys.readouterr().out
    with pytest.raises(SystemExit):
        run(f'--out={out}')
    assert 'is not the demo dataset requested' in capsys.readouterr().err
