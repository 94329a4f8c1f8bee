from concurrent.futures import ThreadPoolExecutor

from tiny_run import build_runner, write_tiny_config

from mmpretrain_mldecoder.engine.runners.work_dir import claim_timestamp


def test_each_run_gets_a_second_of_its_own(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        claimed = list(pool.map(lambda _: claim_timestamp(tmp_path, '20231231_235958'), range(8)))
    assert sorted(claimed) == sorted(path.name for path in tmp_path.iterdir())
    assert sorted(claimed)[:3] == ['20231231_235958', '20231231_235959', '20240101_000000']
    assert len(set(claimed)) == 8


def test_two_runners_of_one_second(tmp_path, monkeypatch):
    monkeypatch.setattr('time.time', lambda: 1_700_000_000.0)
    config = write_tiny_config(tmp_path)
    one, other = (build_runner(config, tmp_path / 'run') for _ in range(2))
    assert one.timestamp != other.timestamp
    for runner in (one, other):
        assert (tmp_path / 'run' / runner.timestamp / f'{runner.timestamp}.log').is_file()
