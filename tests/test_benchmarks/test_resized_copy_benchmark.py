"""The benchmark compares what it says."""

import json
import runpy
import sys
from pathlib import Path

FOLDER = Path(__file__).parents[2] / 'benchmarks'


def test_rows_and_notes(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    arguments = [f'--out={tmp_path}', '--count=2', '--repeats=1']
    monkeypatch.setattr(sys, 'argv', ['resized_copy.py', *arguments])
    runpy.run_path(str(FOLDER / 'resized_copy.py'), run_name='__main__')
    rows = json.loads((tmp_path / 'resized_copy.json').read_text())['rows']
    assert [row['what'] for row in rows] == [
        'training at 448 px from a copy of 448 px',
        'training at 224 px from a copy of 448 px',
        'training at 224 px from a copy of 224 px',
    ]
    for row in rows:
        assert row['ours'] > 0 < row['peer']
        # JPEG of quality 95 is near the original and not equal to it
        assert 0 < float(row['note'].split('; ')[1].split()[0]) < 4
