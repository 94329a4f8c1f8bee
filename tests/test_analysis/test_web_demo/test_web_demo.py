import pytest
import torch
from tiny_classifier import write_classifier

from mmpretrain_mldecoder.apis import MultiLabelInferencer

pytest.importorskip('gradio', reason="pip install -e '.[app]'")


def build(inferencer):
    from mmpretrain_mldecoder.analysis.web_demo.demo_app import build_app

    app = build_app(inferencer)
    return app, {function.name: function.fn for function in app.fns.values()}


def value(update):
    """What an output shows: Gradio takes a value, or a component that holds one."""
    return getattr(update, 'value', update)


def test_a_photo_then_thresholds_then_a_label(inferencer, photo, monkeypatch):
    _, functions = build(inferencer)
    (expected,) = inferencer(photo, thr=0)
    scores = expected['scores']
    middle = (scores[1] + scores[2]) / 2
    prediction = functions['predict'](dict(path=photo), middle)
    found, message, labels, overlay, caption, chosen = prediction
    assert found['scores'] == scores
    assert message.startswith('2 labels. Click one')
    best, second = expected['labels'][:2]
    assert [entry['label'] for entry in value(labels)['confidences']] == [best, second]
    assert overlay.label == f'Attention: {best} ({scores[0]:.2f})'
    assert f'**{best}**' in caption
    assert chosen is None

    # From here on the network is not needed.
    monkeypatch.setattr(inferencer, '_network', None)

    class Click:
        value = second

    *_, overlay, caption, chosen = functions['choose'](found, middle, Click())
    assert overlay.label == f'Attention: {second} ({scores[1]:.2f})'
    assert chosen == second
    # A higher threshold leaves the best only; a lower one brings the chosen label back.
    above = (scores[0] + scores[1]) / 2
    message, labels, overlay, _, chosen = functions['_show'](found, above, second)
    assert message.startswith('1 label.')
    assert overlay.label.startswith(f'Attention: {best}')
    message, labels, overlay, _, chosen = functions['_show'](found, 0, chosen)
    assert message.startswith('4 labels.')
    assert overlay.label.startswith(f'Attention: {second}')


def test_no_label_and_no_image(inferencer, photo, tmp_path):
    _, functions = build(inferencer)
    found, message, labels, overlay, caption, _ = functions['predict'](dict(path=photo), 1)
    best, score = found['labels'][0], found['scores'][0]
    assert score < 1
    assert message == f'No label reaches 1.00. The best is **{best}** with {score:.2f}.'
    assert (labels.visible, value(overlay), caption) == (False, None, '')
    # no image, and a removed one, clear the page
    path = tmp_path / 'photo.jpg'
    path.write_text('no image')
    for upload, expected in (
        (dict(path=str(path)), 'This file cannot be read as an image.'),
        (None, 'Drop a photo.'),
    ):
        found, message, labels, overlay, caption, _ = functions['predict'](upload, 0.5)
        assert found is None
        assert expected in message
        assert (labels.visible, value(overlay), caption) == (False, None, '')


def test_without_attention_there_are_labels_only(folder, photo):
    linear = MultiLabelInferencer(*write_classifier(folder, 'linear'), device='cpu')
    linear.model.neck = torch.nn.Sequential(linear.model.neck)  # one that nothing is known of
    app, functions = build(linear)
    _, message, labels, overlay, *_ = functions['predict'](dict(path=photo), 0)
    assert message == '4 labels'
    assert len(value(labels)['confidences']) == 4
    assert value(overlay) is None
    columns = [block.visible for block in app.blocks.values() if type(block).__name__ == 'Column']
    assert columns == [True, True, False]
    # nothing is sent anywhere
    assert app.analytics_enabled is False
    for block in app.blocks.values():
        assert 'share' not in (getattr(block, 'buttons', None) or ())
