import re

import pytest
from tiny_classifier import read_with_other_logits, write_classifier
from tiny_run import load_tool, refusal

from mmpretrain_mldecoder.apis.export import export_model

run_tool = load_tool('export_onnx')


def test_table_and_file(tmp_path, capsys):
    out = tmp_path / 'out.pt2'
    run_tool(*write_classifier(tmp_path), out, '--sigmoid', '--dynamic-size')
    lines = capsys.readouterr().out.splitlines()
    rows = [line.split() for line in lines if line.startswith('    ')]
    assert [row[:5] for row in rows] == [
        [batch, '7', *size] for size in (['32', 'x', '32'], ['40', 'x', '24']) for batch in '127'
    ]
    assert all(float(row[5]) < 1e-5 for row in rows)
    assert lines[-3].endswith('at most, 0.0001 is allowed')
    megabytes = f'{out.stat().st_size / 1e6:.1f} MB'
    assert lines[-2] == f'{out}: {megabytes}, fp32, 4 classes, scores, no thresholds'
    assert lines[-1].startswith('input: uint8, ') and lines[-1].endswith('; resize: squash 32x32')


def test_scores_that_are_off(tmp_path, capsys, monkeypatch):
    out = tmp_path / 'out.pt2'
    monkeypatch.setattr(export_model, 'read_torch_archive', read_with_other_logits)
    with pytest.raises(SystemExit) as caught:
        run_tool(*write_classifier(tmp_path), out, '--tolerance', '1e-3')
    assert caught.value.code == 1
    printed, error = capsys.readouterr()
    assert "torch's own scores differ in float64 by " in printed
    assert 'MB' not in printed
    assert re.search(r'scores are up to .* off, more than 0\.001: .*out\.pt2 is not written', error)
    assert not out.exists()


@pytest.mark.parametrize(
    ('args', 'message'),
    [
        ('{config} {ckpt} {out} --fp16 --int8 x', 'not allowed with argument'),
        ('{config} {ckpt} {out} --fp16', 'fp16 is for ONNX'),
        ('{config} {ckpt} {out} --photos nowhere', 'no such image, folder'),
        (
            '{config} {ckpt} {out} --cfg-options model.head.num_classes=7',
            'set model.head.num_classes',
        ),
    ],
)
def test_what_is_wrong_is_said(tmp_path, capsys, args, message):
    config, checkpoint = write_classifier(tmp_path)
    args = args.format(config=config, ckpt=checkpoint, out=tmp_path / 'out.pt2')
    assert message in refusal(capsys, run_tool, *args.split())
    assert not (tmp_path / 'out.pt2').exists()
