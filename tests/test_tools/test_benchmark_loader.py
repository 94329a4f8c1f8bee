import json

from tiny_run import load_tool, refusal, write_tiny_config

tool = load_tool('analysis_tools/benchmark_loader')


def test_table_rates_and_json(tmp_path, capsys):
    config = write_tiny_config(tmp_path)
    out = tmp_path / 'speed.json'
    speed = tool(config, '--photos=9', '--workers=0', '--out', out, '--gpu-photos-per-second=500')
    assert list(speed.stages) == [
        *('labels', 'seeding', 'reading the file', 'LoadImageFromFile', 'RandomResizedCrop'),
        *('PackInputs', 'collation'),
    ]
    assert all(ms > 0 for ms in speed.stages.values()) and speed.loader_rate > 0
    printed = capsys.readouterr().out
    assert all(stage in printed for stage in speed.stages)
    assert f'kept busy by {500 / speed.core_rate:.1f} cores like these' in printed
    numbers = json.loads(out.read_text())
    assert numbers['stages'] == speed.stages
    assert (numbers['config'], numbers['split'], numbers['photos']) == (str(config), 'train', 9)


def test_errors_have_no_traceback(tmp_path, capsys):
    config = write_tiny_config(tmp_path)
    assert 'photos must be at least 1' in refusal(capsys, tool, config, '--photos=0')
    gone = 'train_dataloader.dataset.data_prefix=gone'
    error = refusal(capsys, tool, config, '--cfg-options', gone)
    assert 'gone is not a folder: no images there' in error
