import cv2
import numpy as np
import pytest
import torch
from four_classes import CLASSES, assert_scores_of_a_test_run, tiny_config, write_checkpoint
from mmengine.dataset import default_collate
from mmpretrain import get_model
from mmpretrain.apis import ModelHub
from mmpretrain.registry import DATASETS, MODELS

from mmpretrain_mldecoder import MultiLabelInferencer
from mmpretrain_mldecoder.apis import PredictionOptions, PredictionRun


def test_scores_are_those_of_a_test_run(config, checkpoint, inferencer, fake_coco):
    predictions = inferencer(fake_coco / 'val2017', thr=0)
    assert config.to_dict() == tiny_config(fake_coco).to_dict()  # it is not changed
    assert_scores_of_a_test_run(predictions, config, checkpoint)


def test_threshold_and_topk(inferencer, fake_coco):
    path = str(fake_coco / 'val2017' / '000000000003.jpg')
    (everything,) = inferencer(path, thr=0)
    assert everything['path'] == path
    assert sorted(everything['labels']) == sorted(CLASSES)
    scores = everything['scores']
    for thr in (0, scores[3], (scores[1] + scores[2]) / 2, 1):
        for topk in (None, 1, 3, 9):
            kept = [k for k in range(4) if scores[k] >= thr][:topk]
            (got,) = inferencer(path, thr=thr, topk=topk)
            assert got['labels'] == [everything['labels'][k] for k in kept]
            assert got['scores'] == [scores[k] for k in kept]


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (dict(thr=1.5), r"thr must be in \[0, 1\] or 'tuned', but got 1.5"),
        (dict(thr='best'), r"thr must be in \[0, 1\] or 'tuned', but got 'best'"),
        (dict(thr='tuned'), 'the checkpoint has no thresholds'),
        (dict(return_attention=True, thr=-1), 'thr must be in'),
        (dict(topk=0), 'topk must be at least 1, but got 0'),
    ],
)
def test_wrong_arguments(inferencer, fake_coco, kwargs, message):
    for predict in (inferencer, inferencer.stream):  # at once
        with pytest.raises(ValueError, match=message):
            predict(fake_coco / 'val2017', **kwargs)


def test_arguments_of_the_host_s_call(inferencer, fake_coco, monkeypatch):
    folder, sizes, network = fake_coco / 'val2017', [], inferencer._network
    monkeypatch.setattr(
        inferencer,
        '_network',
        lambda batch, left: sizes.append(len(batch['inputs'])) or network(batch, left),
    )
    inferencer(folder, batch_size=5)
    inferencer(folder)
    assert sizes == [5, 2, 3, 3, 1]
    with pytest.raises(ValueError, match='batch_size must be at least 1, but got 0'):
        inferencer(folder, batch_size=0)
    for unknown in (dict(show=True), dict(resize=100), dict(draw_score=False)):
        with pytest.raises(TypeError, match="Images are drawn with show_dir='a folder'"):
            inferencer(folder, **unknown)


def test_sizes_go_through_the_network_by_themselves(config, checkpoint):
    del config.test_dataloader.dataset.pipeline[1]  # the resizing
    rng = np.random.default_rng(0)
    sides = (32, 48, 32, 64, 48)
    images = [rng.integers(0, 256, (side, 32, 3), dtype=np.uint8) for side in sides]
    many = MultiLabelInferencer(config, checkpoint, batch_size=4, device='cpu')(images, 0)
    one = MultiLabelInferencer(config, checkpoint, batch_size=1, device='cpu')(images, 0)
    for index, (got, want) in enumerate(zip(many, one, strict=True)):
        assert got['index'] == index
        assert got['scores'] == pytest.approx(want['scores'], abs=1e-5)


def test_tuned_thresholds_apply_by_class(config, checkpoint, fake_coco):
    path = fake_coco / 'val2017' / '000000000003.jpg'
    (everything,) = MultiLabelInferencer(config, checkpoint, device='cpu')(path, thr=0)
    scores = dict(zip(everything['labels'], everything['scores'], strict=True))
    # Exactly reached by the first, just missed by the second, and so on.
    values = [scores['ant'], np.nextafter(scores['bee'], 1).item(), 0.0, 1.0]
    write_checkpoint(config, checkpoint, thresholds=dict(classes=list(CLASSES), values=values))
    inferencer = MultiLabelInferencer(config, checkpoint, device='cpu')
    (tuned,) = inferencer(path, thr='tuned')
    assert set(tuned['labels']) == {'ant', 'cat'}
    assert tuned['scores'] == sorted(tuned['scores'], reverse=True)
    assert inferencer(path, thr='tuned', topk=1)[0]['labels'] == tuned['labels'][:1]


@pytest.mark.parametrize(
    ('head', 'neck', 'activation'),
    [
        (dict(type='MultiLabelLinearClsHead'), True, torch.sigmoid),
        (dict(type='CSRAClsHead', num_heads=1, lam=0.1), False, torch.sigmoid),
        (dict(type='LinearClsHead'), True, lambda logits: logits.softmax(-1)),
    ],
)
def test_heads_of_the_host(config, tmp_path, fake_coco, head, neck, activation):
    config.model.head = head | dict(num_classes=4, in_channels=64)
    if neck:
        config.model.neck = dict(type='GlobalAveragePooling')
    checkpoint = write_checkpoint(config, tmp_path / 'host.pth')
    model = loaded(config, checkpoint)
    item = DATASETS.build(config.test_dataloader.dataset)[3]
    with torch.no_grad():
        logits = model(model.data_preprocessor(default_collate([item]))['inputs'])[0]
    inferencer = MultiLabelInferencer(config, checkpoint, device='cpu')
    path = fake_coco / 'val2017' / '000000000003.jpg'
    (got,) = inferencer(path, thr=0)
    scores = dict(zip(got['labels'], got['scores'], strict=True))
    expected = activation(logits).tolist()
    assert [scores[name] for name in CLASSES] == pytest.approx(expected, abs=1e-5)
    (explained,) = inferencer(path, thr=0, return_attention=True)
    assert explained['labels'] == got['labels']
    total = explained['attention'].sum((2, 3))
    assert (np.isclose(total, 1) | (total == 0)).all()  # no cell speaks for a class
    inferencer.model.head = torch.nn.Linear(1, 1)
    with pytest.raises(ValueError, match='a Linear has no attention: ML-Decoder has'):
        inferencer(path, return_attention=True)


def loaded(config, checkpoint):
    model = MODELS.build(config.model | dict(data_preprocessor=config.data_preprocessor)).eval()
    model.load_state_dict(torch.load(checkpoint, weights_only=True)['state_dict'])
    return model


def test_attention_of_the_labels(config, checkpoint, inferencer, fake_coco):
    folder = fake_coco / 'val2017'
    plain = inferencer(folder, thr=0.2, topk=3)
    explained = inferencer(folder, thr=0.2, topk=3, return_attention=True)
    model = loaded(config, checkpoint)
    dataset = DATASETS.build(config.test_dataloader.dataset)
    for index, (got, want) in enumerate(zip(explained, plain, strict=True)):
        assert (got['path'], got['labels']) == (want['path'], want['labels'])
        assert got['scores'] == pytest.approx(want['scores'], abs=1e-5)
        data = model.data_preprocessor(default_collate([dataset[index]]))
        with torch.no_grad():
            (maps,) = model.head.attention_maps(model.extract_feat(data['inputs']))
        expected = maps[:, [CLASSES.index(name) for name in got['labels']]].transpose(0, 1)
        # Folded batch norms round otherwise.
        np.testing.assert_allclose(got['attention'], expected.numpy(), atol=1e-5)
        np.testing.assert_allclose(got['attention'].sum((2, 3)), 1, atol=1e-5)
        assert got['shares_query_with'] == [[]] * len(got['labels'])  # a query a class
        (height, width, _), seen = cv2.imread(got['path']).shape, got['seen'].shape
        assert seen[1] / seen[0] == pytest.approx(width / height, rel=0.03)


def test_attention_of_a_shared_query(config, tmp_path, fake_coco):
    config.model.head.num_groups = 3  # of two classes: the third has none
    config.model.head.num_classes = 5
    config.test_dataloader.dataset.pipeline[1].scale = (64, 64)
    checkpoint = write_checkpoint(config, tmp_path / 'groups.pth', list('abcde'))
    inferencer = MultiLabelInferencer(config, checkpoint, device='cpu')
    path = fake_coco / 'val2017' / '000000000003.jpg'
    (got,) = inferencer(path, thr=0, return_attention=True)
    assert got['attention'].dtype == np.float32
    shared = dict(zip(got['labels'], got['shares_query_with'], strict=True))
    assert shared == dict(a=['b'], b=['a'], c=['d'], d=['c'], e=[])
    maps = dict(zip(got['labels'], got['attention'], strict=True))
    np.testing.assert_array_equal(maps['a'], maps['b'])
    assert (maps['a'] != maps['c']).any() and (maps['c'] != maps['e']).any()
    (none,) = inferencer(path, thr=1, return_attention=True)
    assert none['attention'].shape == (0, *got['attention'].shape[1:])
    assert none['shares_query_with'] == []


def test_results_come_before_the_last_image_is_read(inferencer, fake_coco, monkeypatch):
    read = []

    def pipeline(image):
        read.append(image)
        return original(image)

    original = inferencer.pipeline
    monkeypatch.setattr(inferencer, 'pipeline', pipeline)
    paths = [str(path) for path in sorted((fake_coco / 'val2017').iterdir())]
    stream = inferencer.stream(paths, thr=0)
    assert read == []
    seen = []
    for prediction in stream:  # as they are asked for
        seen.append(prediction['path'])
        assert len(read) <= len(seen) + 2  # one batch of 3
    assert seen == read == paths


def test_unreadable_images_raise_or_are_left_out(inferencer, fake_coco, tmp_path):
    good = [str(path) for path in sorted((fake_coco / 'val2017').iterdir())]
    (tmp_path / 'broken.jpg').write_bytes(b'not an image')
    with pytest.raises(ValueError, match=r'cannot read image .*broken\.jpg'):
        inferencer(tmp_path / 'broken.jpg')
    (tmp_path / 'list.txt').write_text('broken.jpg\ngone.jpg')
    reported = []
    predictions = inferencer.stream(
        [good[0], tmp_path / 'list.txt', *good[1:]],
        thr=0,
        on_unreadable=lambda path, reason: reported.append((path, reason)),
    )
    # Another composition of the batches: a few float32 roundings.
    for got, want in zip(predictions, inferencer(good, thr=0), strict=True):
        assert got['path'] == want['path']
        assert got['scores'] == pytest.approx(want['scores'], abs=1e-5)
    assert [(path, reason.partition(':')[0]) for path, reason in reported] == [
        (str(tmp_path / 'broken.jpg'), 'no image in it'),
        (str(tmp_path / 'gone.jpg'), 'No such file or directory'),
    ]


def test_checkpoint_of_the_config(config, checkpoint):
    with pytest.raises(ValueError, match=r'no checkpoint.*pretrained='):
        MultiLabelInferencer(config, device='cpu')
    for advised in (dict(pretrained=checkpoint), dict()):
        assert MultiLabelInferencer(config, device='cpu', **advised).classes == list(CLASSES)
        config.load_from = str(checkpoint)
    config.test_dataloader = None
    with pytest.raises(ValueError, match='no test_dataloader, whose pipeline is needed'):
        MultiLabelInferencer(config, device='cpu')


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (dict(batch_size=0), 'batch_size must be at least 1, but got 0'),
        (dict(device='gpu'), 'device is gpu, which torch cannot use: '),
        (dict(backend='tf'), "backend must be 'torch', 'onnx' or None, but got 'tf'"),
        (dict(backend='onnx', device='cuda'), "'onnx' predicts on the CPU, but device is cuda"),
    ],
)
def test_wrong_start(config, checkpoint, kwargs, message):
    with pytest.raises(ValueError, match=message):
        MultiLabelInferencer(config, checkpoint, **kwargs)


# ---- other ways to name a model


@pytest.fixture
def rows(config, checkpoint, tmp_path, monkeypatch):
    """Two more rows that ``mmpretrain.list_models`` lists, of which one has published weights."""
    config.dump(tmp_path / 'tiny.py')
    (tmp_path / 'model-index.yml').write_text('Import:\n  - metafile.yml\n')
    (tmp_path / 'metafile.yml').write_text(
        'Models:\n'
        f'  - {{Name: tiny_Published, Config: tiny.py, Weights: {checkpoint}}}\n'
        '  - {Name: tiny_untrained, Config: tiny.py, Weights: null}\n'
    )
    monkeypatch.setattr(ModelHub, '_models_dict', dict(ModelHub._models_dict))
    ModelHub.register_model_index(tmp_path / 'model-index.yml', tmp_path)


@pytest.mark.parametrize(
    ('name', 'pretrained'),
    [
        ('tiny_published', None),
        ('tiny_Published', True),
        ('tiny_published', 'given'),
        ('tiny_untrained', 'given'),
    ],
)
def test_name_of_a_row(rows, config, checkpoint, tmp_path, fake_coco, name, pretrained):
    if pretrained == 'given':
        pretrained = write_checkpoint(config, tmp_path / 'other.pth', ('w', 'x', 'y', 'z'))
    used = checkpoint if pretrained in (None, True) else pretrained
    want = MultiLabelInferencer(config, used, device='cpu')
    got = MultiLabelInferencer(name, pretrained, device='cpu')
    assert got.classes == want.classes
    assert got(fake_coco / 'val2017', thr=0) == want(fake_coco / 'val2017', thr=0)


def test_names_that_cannot_be_used(rows, tmp_path):
    for pretrained in (None, True, False):
        with pytest.raises(ValueError, match=r'pretrained=\.\.\., or train one with .*tiny\.py'):
            MultiLabelInferencer('tiny_untrained', pretrained)
    for pretrained in (None, True, False):
        with pytest.raises(ValueError, match=r"of this config: pretrained='.*\.pth'"):
            MultiLabelInferencer(tmp_path / 'tiny.py', pretrained)
    with pytest.raises(ValueError, match='no checkpoint'):
        MultiLabelInferencer('mldecoder_r50vd_ssld_coco')
    with pytest.raises(ValueError, match=r"'mldecoder_r50vd_sld_coco'; near: mldecoder_r50vd_ssld"):
        MultiLabelInferencer('mldecoder_r50vd_sld_coco')
    with pytest.raises(FileNotFoundError, match=r'no config at .*tiny_published\.py'):
        MultiLabelInferencer('tiny_published.py')
    with pytest.raises(TypeError, match='built model, not Linear'):
        MultiLabelInferencer(torch.nn.Linear(1, 1))


def test_built_model(config, checkpoint, inferencer, fake_coco, tmp_path):
    model = get_model(config, pretrained=str(checkpoint)).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    without_config = loaded(config, checkpoint)
    with pytest.raises(ValueError, match=r'get_model\(config, checkpoint\), or set .*_config'):
        MultiLabelInferencer(without_config)
    without_config._config = config
    folder = fake_coco / 'val2017'
    for built in (MultiLabelInferencer(model), MultiLabelInferencer(without_config)):
        assert built.classes == list(CLASSES)
        for got, want in zip(built(folder, thr=0), inferencer(folder, thr=0), strict=True):
            assert got['labels'] == want['labels']
            assert got['scores'] == pytest.approx(want['scores'], abs=1e-5)
    # The caller's model can still be trained.
    assert model.training
    assert before.keys() == model.state_dict().keys()
    assert all(value.equal(before[name]) for name, value in model.state_dict().items())
    with pytest.raises(ValueError, match='give the inferencer its checkpoint with pretrained='):
        PredictionRun(built, [str(folder)], PredictionOptions())
    image = str(folder / '000000000001.jpg')
    advised = MultiLabelInferencer(model, pretrained=checkpoint)
    assert len([*PredictionRun(advised, [image], PredictionOptions()).results()]) == 1
    other = write_checkpoint(config, tmp_path / 'other.pth', ('w', 'x', 'y', 'z'))
    assert MultiLabelInferencer(model, other).classes == ['w', 'x', 'y', 'z']


# ---- other names of the classes, other results


def test_other_class_names(config, checkpoint, fake_coco):
    path = fake_coco / 'val2017' / '000000000003.jpg'
    tuned = dict(classes=list(CLASSES), values=[0.0, 1.0, 0.0, 1.0])
    write_checkpoint(config, checkpoint, thresholds=tuned)
    names = ('Ameise', 'Biene', 'Katze', 'Hund')
    (want,) = MultiLabelInferencer(config, checkpoint, device='cpu')(path, thr=0)
    inferencer = MultiLabelInferencer(config, checkpoint, device='cpu', classes=names)
    (got,) = inferencer(path, thr=0)
    assert got['labels'] == [names[CLASSES.index(name)] for name in want['labels']]
    assert got['scores'] == want['scores']
    # Thresholds are those of the classes, whatever they are called.
    assert set(inferencer(path, thr='tuned')[0]['labels']) == {'Ameise', 'Katze'}

    for wrong, message in (
        (names[:3], '3 class names are given as classes='),
        ('Ameise', "list of names, not 'Ameise'"),
    ):
        with pytest.raises(ValueError, match=message):
            MultiLabelInferencer(config, checkpoint, device='cpu', classes=wrong)
    write_checkpoint(config, checkpoint, classes=None)
    config.test_dataloader.dataset.ann_file = 'absent.json'
    assert MultiLabelInferencer(config, checkpoint, classes=names).classes == list(names)


def test_data_samples(inferencer, fake_coco):
    folder = fake_coco / 'val2017'
    for kwargs in (dict(), dict(thr=0.3, topk=2), dict(thr=1)):
        samples = inferencer(folder, return_datasamples=True, **kwargs)
        for sample, image in zip(samples, inferencer(folder, **kwargs), strict=True):
            assert [CLASSES[i] for i in sample.pred_label] == image['labels']
            scores = sample.pred_score[sample.pred_label].tolist()
            assert scores == pytest.approx(image['scores'], abs=1e-6)
            assert sample.img_path == image['path']
    both = dict(return_datasamples=True, return_attention=True)
    with pytest.raises(ValueError, match='True leaves no place for attention: ask for one'):
        inferencer(folder, **both)


def test_images_are_drawn(inferencer, fake_coco, tmp_path):
    first, *others = sorted((fake_coco / 'val2017').iterdir())
    (tmp_path / 'other').mkdir()
    same_name = tmp_path / 'other' / first.name
    same_name.write_bytes(others[0].read_bytes())
    inputs = [first, cv2.imread(str(first)), same_name]
    assert inferencer(inputs, show_dir=tmp_path / 'a/b') == inferencer(inputs)
    drawn = {path.name: cv2.imread(str(path)) for path in (tmp_path / 'a/b').iterdir()}
    assert drawn.keys() == {f'{first.stem}.png', '1.png', f'{first.stem}_1.png'}
    np.testing.assert_array_equal(drawn['1.png'], drawn[f'{first.stem}.png'])
    assert drawn['1.png'].std() > 10
