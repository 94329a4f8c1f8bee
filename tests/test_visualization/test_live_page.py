import numpy as np
import pytest

from mmpretrain_mldecoder.visualization.html_page import read_page_data
from mmpretrain_mldecoder.visualization.live_page import LiveImage, LivePage

CLASSES = ['ant', 'bee', 'cat', '</script><script>hacked = 1</script>']


def new_page(folder, **more):
    return LivePage(folder / 'live.html', 'run', 'epoch', CLASSES, **more)


def write(page, training=(), **more):
    progress = dict(iteration=3, max_iterations=9, epoch=1, max_epochs=3, seconds_left=None)
    page.write(list(training), **(progress | dict(refresh=20) | more))
    return read_page_data(page.path)


def an_image(file='a.jpg', targets=(1, 0, -1, 0)):
    return LiveImage(file, np.zeros((30, 40, 3), np.uint8), np.array(targets))


def test_numbers_arrive_and_nothing_ends_the_data(tmp_path):
    page = new_page(tmp_path, notes=['<b>'])
    page.set_images([an_image('</script>.jpg')])
    scores = np.array([[0.25, 0.5, 0.75, 0.125]])
    maps = [np.eye(3, dtype=np.float32)[None].repeat(2, axis=0)]  # two queries for four classes
    ap = np.array([0.5, np.nan, 1.0, 0.25])
    metrics = {'coco/mAP': 58.3, 'coco/mAP_raw': np.float64(50), 'worst': float('nan')}
    page.add_validation(1, metrics, ap, np.array([2, 0, 1, 1]), scores, maps)
    records = [dict(step=s, loss=10 / s, lr=1e-3, time=1.0, epoch=1) for s in (1, 2, 3)]
    data = write(page, [*records, dict(step=4, loss=float('nan'), lr=0.0)])
    text = page.path.read_text()
    assert text.count('</script>') == 2 and '<b>' not in text
    assert data['classes'] == CLASSES and data['notes'] == ['<b>']
    assert data['training'][1] == dict(step=2, loss=5.0, lr=1e-3)
    assert data['training'][3] == dict(step=4, loss=None, lr=0.0)
    (validation,) = data['validations']
    assert validation['metrics'] == {'coco/mAP': 58.3, 'coco/mAP_raw': 50, 'worst': None}
    assert validation['ap'] == [50, None, 100, 25] and data['positives'] == [2, 0, 1, 1]
    (image,) = data['images']
    assert (image['file'], image['positive'], image['unknown']) == ('</script>.jpg', [0], [2])
    (labels,) = validation['images']
    # what the image shows, then the best of the others
    assert [(label, score) for label, score, _ in labels] == [
        *((0, 0.25), (2, 0.75), (1, 0.5), (3, 0.125)),
    ]
    assert all(address.startswith('data:image/png;base64,') for _, _, address in labels)


def test_summary_has_changes_and_the_weakest_classes(tmp_path):
    page = new_page(tmp_path)
    page.add_validation(1, {'coco/mAP': 40.0}, np.array([0.5, 0.2, 0.7, np.nan]))
    assert page.summary() == (
        'Validation after epoch 1: coco/mAP 40.00. Lowest AP: bee 20.0, ant 50.0, cat 70.0'
    )
    page.add_validation(2, {'coco/mAP': 42.5, 'coco/mAP_raw': 1.0})
    assert page.summary() == ('Validation after epoch 2: coco/mAP 42.50 (+2.50), coco/mAP_raw 1.00')


def test_long_trainings_make_no_large_page(tmp_path):
    page = new_page(tmp_path)
    page.set_images([an_image()])
    for step in range(1, 101):
        page.add_validation(step, dict(mAP=step), np.full(4, 0.5), None, np.full((1, 4), 0.5))
    records = [dict(step=step, loss=1.0, lr=0.1) for step in range(10, 100_000, 10)]
    data = write(page, records)
    assert [record['metrics']['mAP'] for record in data['validations']] == list(range(1, 101))
    detailed = [record['step'] for record in data['validations'] if record['images']]
    assert detailed[0] == 1 and detailed[-1] == 100 and 7 <= len(detailed) <= 13
    steps = [record['step'] for record in data['training']]
    assert 750 <= len(steps) <= 1500 and steps[-1] == records[-1]['step']
    assert len(set(np.diff(steps))) == 1


def test_a_resumed_training_continues_where_its_checkpoint_was(tmp_path):
    page = new_page(tmp_path)
    page.set_images([an_image()])
    for step in (1, 2, 3):
        page.add_validation(step, dict(mAP=step), np.ones(4), np.ones(4), np.zeros((1, 4)))
    write(page, [dict(step=step, loss=step, lr=1) for step in range(1, 10)])
    resumed = new_page(tmp_path)
    resumed.continue_from(iteration=6, validation=2)
    data = write(resumed, [dict(step=step, loss=-1, lr=1) for step in (7, 8)])
    assert [record['loss'] for record in data['training']] == [1, 2, 3, 4, 5, 6, -1, -1]
    assert [record['step'] for record in data['validations']] == [1, 2]
    assert data['images'] and data['positives'] == [1, 1, 1, 1]
    resumed.set_images([an_image()])
    assert write(resumed)['validations'][0]['images']
    resumed.set_images([an_image('b.jpg')])  # the scores are of other images
    assert write(resumed)['validations'][0]['images'] is None


@pytest.mark.parametrize(
    'text', [None, '<p>mine</p>', '<script id="data" type="application/json">{}']
)
def test_a_page_of_something_else_is_replaced(tmp_path, text):
    if text is not None:
        (tmp_path / 'live.html').write_text(text)
    page = new_page(tmp_path)
    page.continue_from(5, 5)
    assert write(page)['training'] == []
