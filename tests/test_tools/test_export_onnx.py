import re
from pathlib import Path

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
    out.write_text('older')
    monkeypatch.setattr(export_model.formats, 'read_torch_archive', read_with_other_logits)
    with pytest.raises(SystemExit) as caught:
        run_tool(*write_classifier(tmp_path), out, '--tolerance', '1e-3')
    assert caught.value.code == 1
    printed, error = capsys.readouterr()
    assert "torch's own scores differ in float64 by " in printed
    assert 'MB' not in printed
    assert re.search(r'scores are up to .* off, more than 0\.001: .*out\.pt2 is not written', error)
    assert out.read_text() == 'older' and not list(tmp_path.glob('.out*'))


FILES = '{config} {ckpt} {out}'


@pytest.mark.parametrize(
    ('args', 'message', 'advised'),
    [
        (f'{FILES} --fp16 --int8 x', 'not allowed with argument', None),
        (f'{FILES} --fp16', 'an archive of torch.export (.pt2) is fp32', None),
        (f'{FILES}.txt', 'must end in .onnx or .pt2', FILES),
        (f'{FILES} --max-map-drop 2', '--max-map-drop is for --int8', None),
        (f'{FILES} --photos nowhere', 'no such image, folder', None),
        (
            f'{FILES} --cfg-options test_dataloader.dataset.data_root=nowhere',
            'the test data is not there: name some with --photos',
            f'{FILES} --photos {{photos}} --cfg-options test_dataloader.dataset.data_root=nowhere',
        ),
        (
            '{wide} {ckpt} {out} --photos {photos}',
            'export with --dynamic-size, or compare photos of one size (--photos)',
            '{wide} {ckpt} {out} --photos {photos} --dynamic-size',
        ),
        (
            '{wide} {ckpt} {out} --photos {photos}',
            'or compare photos of one size (--photos)',
            '{wide} {ckpt} {out} --photos {photo}',
        ),
        (
            f'{FILES} --float-input --cfg-options model.data_preprocessor.pad_size_divisor=50',
            'export without --float-input',
            f'{FILES} --cfg-options model.data_preprocessor.pad_size_divisor=50',
        ),
        (
            f'{FILES} --cfg-options model.head.num_classes=7',
            'set model.head.num_classes',
            None,
        ),
    ],
)
def test_what_is_wrong_is_said_and_the_advice_helps(tmp_path, capsys, args, message, advised):
    config, checkpoint = write_classifier(tmp_path)
    wide = tmp_path / 'wide.py'
    crop = "dict(type='CenterCrop', crop_size=200)"
    wide.write_text(Path(config).read_text().replace("dict(type='SquareResize', scale=32)", crop))
    photos = tmp_path / 'coco' / 'val2017'
    names = dict(config=config, ckpt=checkpoint, out=tmp_path / 'out.pt2', wide=wide)
    names |= dict(photos=photos, photo=min(photos.iterdir()))
    assert message in refusal(capsys, run_tool, *args.format(**names).split())
    assert not (tmp_path / 'out.pt2').exists()
    if advised:
        run_tool(*advised.format(**names).split())
        assert (tmp_path / 'out.pt2').exists()
