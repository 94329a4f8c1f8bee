import csv
import json
from threading import Barrier, Thread, local

import pytest

from mmpretrain_mldecoder.apis import prediction_folder
from mmpretrain_mldecoder.apis.prediction_folder import (
    PredictionFolder,
    write_prediction_table,
    write_predictions,
)

PATHS = ['b.jpg', 'a.jpg', '狗, 1.jpg', 'b.jpg', 'd.jpg']  # one twice
SETTINGS = dict(model='m', thr=0.5)


def predict(folder: PredictionFolder, number: int | None = None) -> None:
    for path in folder.todo[:number]:
        folder.add(dict(path=path, labels=[path[0]]))


def lines(folder) -> list[str]:
    return [json.loads(line)['path'] for line in (folder / 'predictions.jsonl').open('rb')]


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_resumes_after_a_kill(tmp_path):
    folder = PredictionFolder(tmp_path, SETTINGS, PATHS)
    assert folder.todo == ['b.jpg', 'a.jpg', '狗, 1.jpg', 'd.jpg']
    predict(folder, 2)
    assert names(tmp_path) == ['partial', 'settings.json']
    with (tmp_path / 'partial' / 'predictions.0.jsonl').open('ab') as file:
        file.write(b'{}\n{"path": 5}\n{"path": "a.j')
    folder = PredictionFolder(tmp_path, SETTINGS, PATHS)
    assert folder.num_done == 2
    assert folder.todo == ['狗, 1.jpg', 'd.jpg']
    predict(folder)
    assert folder.finish() == 0
    assert names(tmp_path) == ['predictions.jsonl', 'settings.json']
    assert lines(tmp_path) == PATHS
    assert [record['labels'] for record in folder.read()] == [[path[0]] for path in PATHS]


def test_new_images_join_and_failed_ones_are_tried_again(tmp_path):
    folder = PredictionFolder(tmp_path, SETTINGS, PATHS[:3])
    folder.add_failure(dict(path='b.jpg', reason='torn'))
    for path in ('a.jpg', '狗, 1.jpg'):
        folder.add(dict(path=path))
    assert folder.finish() == 1
    assert lines(tmp_path) == ['a.jpg', '狗, 1.jpg']
    assert json.loads((tmp_path / 'failed.jsonl').read_text()) == dict(path='b.jpg', reason='torn')

    folder = PredictionFolder(tmp_path, SETTINGS, PATHS)
    assert folder.todo == ['b.jpg', 'd.jpg']
    predict(folder)
    folder.finish()
    assert lines(tmp_path) == PATHS
    assert not folder.failed.exists()


def test_what_is_not_complete_is_made_again(tmp_path):
    folder = PredictionFolder(tmp_path, SETTINGS, PATHS)
    predict(folder)
    folder.finish()
    folder = PredictionFolder(
        tmp_path, SETTINGS, PATHS, is_complete=lambda record: record['path'] != 'a.jpg'
    )
    assert folder.todo == ['a.jpg']
    folder.add(dict(path='a.jpg', labels=['new']))
    folder.finish()
    assert [record['labels'] for record in folder.read()][:2] == [['b'], ['new']]
    assert lines(tmp_path) == PATHS


def test_long_settings_are_named_without_their_values(tmp_path):
    predict(PredictionFolder(tmp_path, SETTINGS, PATHS), 1)
    with pytest.raises(ValueError, match=r'other settings: model\. Name another'):
        PredictionFolder(tmp_path, SETTINGS | dict(model='n' * 99), PATHS)


def test_lost_images_and_strange_files_are_refused(tmp_path):
    predict(PredictionFolder(tmp_path, SETTINGS, PATHS))
    with pytest.raises(ValueError, match=r'2 images not among the inputs, such as 狗'):
        PredictionFolder(tmp_path, SETTINGS, PATHS[:2])
    (tmp_path / 'other').mkdir()
    (tmp_path / 'other' / 'predictions.jsonl').write_text('{"path": "b.jpg"}\n')
    with pytest.raises(ValueError, match=r'no settings\.json'):
        PredictionFolder(tmp_path / 'other', SETTINGS, PATHS)


@pytest.mark.parametrize('content', ['', '5', '{"a"', '[' * 10**5])
def test_damaged_settings_are_other_settings(tmp_path, content):
    predict(PredictionFolder(tmp_path, SETTINGS, PATHS))
    (tmp_path / 'settings.json').write_text(content)
    with pytest.raises(ValueError, match=r'made with other settings: .*--overwrite'):
        PredictionFolder(tmp_path, SETTINGS, PATHS)


def test_overwrite_keeps_files_that_are_not_ours(tmp_path):
    predict(PredictionFolder(tmp_path, SETTINGS, PATHS))
    for name in ('images', 'partial'):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / 'mine.jpg').touch()
    PredictionFolder(tmp_path, SETTINGS, PATHS, overwrite=True)
    assert (tmp_path / 'images' / 'mine.jpg').exists()
    assert (tmp_path / 'partial' / 'mine.jpg').exists()


@pytest.fixture
def run_on(monkeypatch, tmp_path):
    """Predict on some ranks, which are threads; all are killed after ``keep`` images each."""
    thread = local()
    thread.rank = 0

    def run(num_ranks: int, keep: int | None = None) -> None:
        barrier = Barrier(num_ranks, timeout=20)
        monkeypatch.setattr(prediction_folder, 'barrier', barrier.wait)
        monkeypatch.setattr(prediction_folder, 'get_dist_info', lambda: (thread.rank, num_ranks))

        def work(rank: int) -> None:
            thread.rank = rank
            results = PredictionFolder(tmp_path, SETTINGS, PATHS)
            predict(results, keep)
            if keep is None:
                results.finish()

        threads = [Thread(target=work, args=(rank,)) for rank in range(num_ranks)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()

    return run


@pytest.mark.parametrize(('before', 'after'), [(1, 3), (2, 2), (3, 1), (3, 2)])
def test_any_number_of_ranks_merges_into_the_same(run_on, tmp_path, before, after):
    run_on(before, keep=1)
    run_on(after)
    assert lines(tmp_path) == PATHS
    assert names(tmp_path) == ['predictions.jsonl', 'settings.json']


def test_one_line_a_image(tmp_path):
    predictions = [
        dict(path='a.jpg', labels=['狗', 'ball'], scores=[0.9, 0.1 + 0.2]),
        dict(index=1, labels=[], scores=[]),
    ]
    path = write_predictions(predictions, tmp_path / 'new' / 'predictions.jsonl')
    with pytest.raises(TypeError, match='not JSON serializable'):  # the old file stays
        write_predictions([dict(path='b.jpg'), dict(path=object())], path)
    lines = path.read_text(encoding='utf-8').splitlines()
    assert [json.loads(line) for line in lines] == predictions
    assert '狗' in lines[0]


def test_table_has_a_column_a_class(tmp_path):
    classes = ['cat, tabby', 'say "dog"', '鸟']
    predictions = [
        dict(path='a, b.jpg', labels=['鸟', 'cat, tabby'], scores=[0.75, 1 / 3]),
        dict(path='ü.jpg', labels=[], scores=[]),
    ]
    out = write_prediction_table(predictions, classes, tmp_path / 'new' / 'predictions.csv')
    with out.open(encoding='utf-8', newline='') as file:
        rows = list(csv.reader(file))
    assert rows == [
        ['path', *classes],
        ['a, b.jpg', '0.333333', '', '0.750000'],
        ['ü.jpg', '', '', ''],
    ]


def test_no_cell_is_a_formula(tmp_path):
    names = ['=cmd|calc', '+1', '-1.jpg', '@sum', '\t=1']
    predictions = [dict(path=name, labels=names[:1], scores=[0.5]) for name in [*names, 'a\r=1']]
    file = write_prediction_table(predictions, names, tmp_path / 'a.csv')
    with file.open(newline='') as text:
        header, *rows = csv.reader(text)
    assert header == ['path', *(f"'{name}" for name in names)]
    assert [row[0] for row in rows] == [*(f"'{name}" for name in names), r'a\r=1']  # no new row
