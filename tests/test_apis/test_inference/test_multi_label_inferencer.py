import json
from copy import deepcopy

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import default_collate
from mmpretrain.registry import DATASETS, MODELS
from PIL import Image

from mmpretrain_mldecoder.apis import MultiLabelInferencer
from mmpretrain_mldecoder.apis.inference import network_runner
from mmpretrain_mldecoder.apis.inference.onnx_model import OnnxModel

CLASSES = ('ant', 'bee', 'cat', 'dog')


def tiny_config(root) -> Config:
    """A four-class model of a few thousand weights, and the demo's kind of test pipeline."""
    return Config(
        dict(
            custom_imports=dict(imports=['mmpretrain_mldecoder'], allow_failed_imports=False),
            default_scope='mmpretrain',
            data_preprocessor=dict(mean=[100, 110, 120], std=[60, 50, 40], to_rgb=True),
            model=dict(
                type='ImageClassifier',
                backbone=dict(type='ResNet', depth=18, stem_channels=8, base_channels=8),
                head=dict(
                    type='MLDecoderHead',
                    num_classes=4,
                    in_channels=64,
                    embed_dims=16,
                    num_heads=2,
                    feedforward_channels=16,
                    loss=dict(type='DetachedAsymmetricLoss'),
                ),
            ),
            test_dataloader=dict(
                dataset=dict(
                    type='COCOMultiLabel',
                    data_root=str(root),
                    ann_file='annotations/instances_val2017.json',
                    data_prefix='val2017',
                    test_mode=True,
                    pipeline=[
                        dict(type='LoadImageFromFile'),
                        dict(type='Resize', scale=(32, 32), interpolation='bilinear'),
                        dict(
                            type='PackInputs',
                            meta_keys=('sample_idx', 'img_path', 'instance_labels'),
                        ),
                    ],
                )
            ),
        )
    )


@pytest.fixture
def config(fake_coco):
    return tiny_config(fake_coco)


@pytest.fixture
def checkpoint(config, tmp_path):
    torch.manual_seed(0)
    model = MODELS.build(config.model)
    # Away from 0, so that the scores spread.
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    path = tmp_path / 'tiny.pth'
    meta = dict(dataset_meta=dict(classes=CLASSES))
    torch.save(dict(state_dict=model.state_dict(), meta=meta), path)
    return path


@pytest.fixture
def inferencer(config, checkpoint):
    return MultiLabelInferencer(config, checkpoint, device='cpu', batch_size=3)


def expected_scores(config, checkpoint, batch_size) -> torch.Tensor:
    """Scores of the test split, (N, C), by the dataset and the model as a test run uses them."""
    dataset = DATASETS.build(config.test_dataloader.dataset)
    model = MODELS.build(config.model | dict(data_preprocessor=config.data_preprocessor)).eval()
    model.load_state_dict(torch.load(checkpoint, weights_only=True)['state_dict'])
    scores = []
    for start in range(0, len(dataset), batch_size):
        items = [dataset[i] for i in range(start, min(start + batch_size, len(dataset)))]
        with torch.no_grad():
            samples = model.test_step(default_collate(items))
        scores += [sample.pred_score for sample in samples]
    return torch.stack(scores)


def assert_scores_of_a_test_run(predictions, config, checkpoint):
    expected = expected_scores(config, checkpoint, batch_size=3)
    assert len(predictions) == len(expected) == 7
    assert expected.std(0).min() > 1e-3  # the pictures differ, so that equality says something
    for prediction, scores in zip(predictions, expected, strict=True):
        got = dict(zip(prediction['labels'], prediction['scores'], strict=True))
        # Folded batch norms round otherwise, and ONNX Runtime sums in another order.
        assert [got[name] for name in CLASSES] == pytest.approx(scores.tolist(), abs=1e-5)
        assert prediction['scores'] == sorted(prediction['scores'], reverse=True)


def test_scores_are_those_of_a_test_run(config, checkpoint, inferencer, fake_coco):
    predictions = inferencer(fake_coco / 'val2017', thr=0)
    assert_scores_of_a_test_run(predictions, config, checkpoint)


def test_scores_do_not_depend_on_the_batch(config, checkpoint, inferencer, fake_coco):
    one = MultiLabelInferencer(config, checkpoint, device='cpu', batch_size=1)
    for a, b in zip(
        one(fake_coco / 'val2017', thr=0), inferencer(fake_coco / 'val2017', thr=0), strict=True
    ):
        # Convolutions of other batch sizes may sum in another order: a few float32 roundings.
        assert a['scores'] == pytest.approx(b['scores'], abs=1e-5)


@pytest.fixture
def exports(monkeypatch) -> list:
    """The exported models, of which ``.calls`` counts the batches."""
    for package in ('onnxruntime', 'onnx', 'onnxscript'):
        pytest.importorskip(package)
    made = []

    class Counted(OnnxModel):
        calls = 0

        def __init__(self, model, pictures):
            super().__init__(model, pictures)
            self.calls = 0  # its own check does not count
            made.append(self)

        def __call__(self, images):
            self.calls += 1
            return super().__call__(images)

    monkeypatch.setattr(network_runner, 'OnnxModel', Counted)
    return made


def test_onnx_runs_every_batch(config, checkpoint, fake_coco, exports):
    inferencer = MultiLabelInferencer(config, checkpoint, batch_size=3, backend='onnx')
    predictions = inferencer(fake_coco / 'val2017', thr=0)
    assert_scores_of_a_test_run(predictions, config, checkpoint)
    assert [export.calls for export in exports] == [3]
    assert inferencer(fake_coco / 'val2017', thr=0) == predictions
    assert [export.calls for export in exports] == [6]


def test_long_work_goes_over_to_onnx(monkeypatch, config, checkpoint, fake_coco, exports):
    inferencer = MultiLabelInferencer(config, checkpoint, device='cpu', batch_size=3)
    folder = fake_coco / 'val2017'
    inferencer(folder)
    assert not exports  # it is a matter of milliseconds
    monkeypatch.setattr(network_runner, 'SECONDS_WORTH_AN_EXPORT', 1e-9)
    inferencer(folder / '000000000001.jpg')
    assert not exports  # nothing is left after it
    assert_scores_of_a_test_run(inferencer(folder, thr=0), config, checkpoint)
    assert [export.calls for export in exports] == [2]  # the first of three batches told
    inferencer(folder / '000000000001.jpg')
    assert [export.calls for export in exports] == [3]


def test_other_sizes_go_through_torch(config, checkpoint, exports):
    del config.test_dataloader.dataset.pipeline[1]  # the resizing
    inferencer = MultiLabelInferencer(config, checkpoint, batch_size=1, backend='onnx')
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (side, 32, 3), dtype=np.uint8) for side in (32, 48, 32)]
    predictions = inferencer(images, thr=0)
    expected = MultiLabelInferencer(config, checkpoint, batch_size=1, backend='torch')(images, 0)
    for got, want in zip(predictions, expected, strict=True):
        assert got['scores'] == pytest.approx(want['scores'], abs=1e-5)
    assert [export.calls for export in exports] == [2]


@pytest.fixture
def failing_export(monkeypatch):
    def fail(model, pictures):
        raise RuntimeError('the model cannot be exported to ONNX: too exotic')

    monkeypatch.setattr(network_runner, 'OnnxModel', fail)
    monkeypatch.setattr(network_runner, 'SECONDS_WORTH_AN_EXPORT', 0)
    monkeypatch.setattr(network_runner, 'missing_onnx_packages', list)


def test_failing_export(config, checkpoint, fake_coco, failing_export, recwarn):
    inferencer = MultiLabelInferencer(config, checkpoint, device='cpu', batch_size=3)
    predictions = inferencer(fake_coco / 'val2017', thr=0)
    assert_scores_of_a_test_run(predictions, config, checkpoint)
    (warning,) = [w for w in recwarn if 'torch' in str(w.message)]  # one, although batches follow
    assert str(warning.message) == (
        'predicting with torch: the model cannot be exported to ONNX: too exotic'
    )
    for _ in range(2):
        asked = MultiLabelInferencer(config, checkpoint, backend='onnx')
        with pytest.raises(RuntimeError, match='cannot be exported to ONNX: too exotic'):
            asked(fake_coco / 'val2017')


def test_without_the_packages_for_onnx(monkeypatch, config, checkpoint, fake_coco, recwarn):
    monkeypatch.setattr(network_runner, 'missing_onnx_packages', lambda: ['onnxruntime'])
    monkeypatch.setattr(network_runner, 'SECONDS_WORTH_AN_EXPORT', 0)
    inferencer = MultiLabelInferencer(config, checkpoint, device='cpu', batch_size=3)
    predictions = inferencer(fake_coco / 'val2017', thr=0)
    assert_scores_of_a_test_run(predictions, config, checkpoint)
    assert not [w for w in recwarn if 'torch' in str(w.message)]
    message = r"needs onnxruntime: pip install 'mmpretrain_mldecoder\[onnx\]'"
    with pytest.raises(ModuleNotFoundError, match=message):
        MultiLabelInferencer(config, checkpoint, backend='onnx')


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (dict(backend='tf'), "backend must be 'torch', 'onnx' or None, but got 'tf'"),
        (dict(backend='onnx', device='cuda'), "'onnx' predicts on the CPU, but device is cuda"),
    ],
)
def test_wrong_backend(config, checkpoint, kwargs, message):
    with pytest.raises(ValueError, match=message):
        MultiLabelInferencer(config, checkpoint, **kwargs)


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


def test_file_array_and_pil_agree(inferencer, fake_coco, tmp_path):
    bgr = cv2.imread(str(fake_coco / 'val2017' / '000000000004.jpg'))
    path = tmp_path / 'lossless.png'
    cv2.imwrite(str(path), bgr)
    from_file, from_array, from_pil = inferencer([path, bgr, Image.open(path)], thr=0)
    assert from_file.pop('path') == str(path)
    assert (from_array.pop('index'), from_pil.pop('index')) == (1, 2)
    assert from_file == from_array == from_pil


def test_pil_is_turned_upright_like_a_file(inferencer, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: to be turned by 90 degrees
    Image.fromarray(pixels).save(tmp_path / 'turned.png', exif=exif)
    image = Image.open(tmp_path / 'turned.png')
    (got,) = inferencer(image, thr=0)
    (upright,) = inferencer(np.ascontiguousarray(np.rot90(pixels, -1)[..., ::-1]), thr=0)
    assert got == upright


def test_config_file_and_unchanged_config(config, checkpoint, fake_coco, tmp_path):
    before = deepcopy(config.to_dict())
    path = tmp_path / 'config.py'
    config.dump(path)
    picture = fake_coco / 'val2017' / '000000000001.jpg'
    from_file = MultiLabelInferencer(path, str(checkpoint), device='cpu')(picture, thr=0)
    assert from_file == MultiLabelInferencer(config, checkpoint, device='cpu')(picture, thr=0)
    assert config.to_dict() == before


def test_class_names_fall_back_to_the_annotations_and_the_config(config, checkpoint, fake_coco):
    content = torch.load(checkpoint, weights_only=True)
    torch.save(dict(state_dict=content['state_dict']), checkpoint)
    names = json.loads((fake_coco / 'annotations/instances_val2017.json').read_text())['categories']
    inferencer = MultiLabelInferencer(config, checkpoint, device='cpu')
    names.sort(key=lambda entry: entry['id'])
    assert inferencer.classes == [entry['name'] for entry in names]
    config.test_dataloader.dataset.ann_file = 'absent.json'
    with pytest.raises(ValueError, match=r'no class names.*absent.json.*metainfo=dict\(classes='):
        MultiLabelInferencer(config, checkpoint, device='cpu')
    config.test_dataloader.dataset.metainfo = dict(classes=['w', 'x', 'y', 'z'])
    assert MultiLabelInferencer(config, checkpoint, device='cpu').classes == ['w', 'x', 'y', 'z']
    torch.save(content, checkpoint)
    assert MultiLabelInferencer(config, checkpoint, device='cpu').classes == list(CLASSES)


def test_wrong_number_of_class_names(config, checkpoint, fake_coco):
    content = torch.load(checkpoint, weights_only=True)
    content['meta']['dataset_meta']['classes'] = CLASSES[:3]
    torch.save(content, checkpoint)
    inferencer = MultiLabelInferencer(config, checkpoint, device='cpu')
    with pytest.raises(ValueError, match='scores 4 classes, but 3 class names'):
        inferencer(fake_coco / 'val2017' / '000000000001.jpg')


def test_checkpoint_of_another_model(config, checkpoint):
    config.model.head.embed_dims = 32
    with pytest.raises(
        RuntimeError, match=r'tiny\.pth is not of this model: size mismatch.*more of the kind'
    ):
        MultiLabelInferencer(config, checkpoint, device='cpu')


def test_no_checkpoint(config, checkpoint):
    with pytest.raises(ValueError, match=r'no checkpoint.*pretrained='):
        MultiLabelInferencer(config, device='cpu')
    config.load_from = str(checkpoint)
    assert MultiLabelInferencer(config, device='cpu').classes == list(CLASSES)


@pytest.mark.parametrize('content', [b'', b'not a picture'])
def test_unreadable_image(inferencer, tmp_path, content):
    path = tmp_path / 'broken.jpg'
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r'cannot read image .*broken\.jpg'):
        inferencer(path)


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
    with pytest.raises(ValueError, match=message):
        inferencer(fake_coco / 'val2017', **kwargs)


def test_wrong_batch_size(config, checkpoint):
    with pytest.raises(ValueError, match='batch_size must be at least 1, but got 0'):
        MultiLabelInferencer(config, checkpoint, batch_size=0)


def test_results_come_before_the_last_picture_is_read(inferencer, fake_coco, monkeypatch):
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
    for prediction in stream:
        seen.append(prediction['path'])
        assert len(read) <= len(seen) + 2  # one batch of 3
    assert seen == read == paths


def test_stream_equals_call(inferencer, fake_coco):
    folder = fake_coco / 'val2017'
    assert list(inferencer.stream(folder, 0.3, 2)) == inferencer(folder, 0.3, 2)


def test_unreadable_pictures_are_left_out(inferencer, fake_coco, tmp_path):
    good = [str(path) for path in sorted((fake_coco / 'val2017').iterdir())]
    (tmp_path / 'broken.jpg').write_bytes(b'not a picture')
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
    assert [path for path, _ in reported] == [str(tmp_path / n) for n in ('broken.jpg', 'gone.jpg')]
    assert [reason.partition(':')[0] for _, reason in reported] == [
        'no picture in it',
        'No such file or directory',
    ]


def test_wrong_arguments_of_a_stream_raise_at_once(inferencer, fake_coco):
    with pytest.raises(ValueError, match='thr must be in'):
        inferencer.stream(fake_coco / 'val2017', thr=2)
    with pytest.raises(FileNotFoundError, match='no such image'):
        inferencer.stream('gone.jpg')


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
    content = torch.load(checkpoint, weights_only=True)
    content['meta']['thresholds'] = dict(classes=list(CLASSES), values=values)
    torch.save(content, checkpoint)
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
    torch.manual_seed(0)
    model = MODELS.build(config.model | dict(data_preprocessor=config.data_preprocessor)).eval()
    meta = dict(dataset_meta=dict(classes=CLASSES))
    torch.save(dict(state_dict=model.state_dict(), meta=meta), tmp_path / 'host.pth')
    item = DATASETS.build(config.test_dataloader.dataset)[3]
    with torch.no_grad():
        logits = model(model.data_preprocessor(default_collate([item]))['inputs'])[0]
    inferencer = MultiLabelInferencer(config, tmp_path / 'host.pth', device='cpu')
    path = fake_coco / 'val2017' / '000000000003.jpg'
    (got,) = inferencer(path, thr=0)
    scores = dict(zip(got['labels'], got['scores'], strict=True))
    expected = activation(logits).tolist()
    assert [scores[name] for name in CLASSES] == pytest.approx(expected, abs=1e-5)
    with pytest.raises(ValueError, match=f'a {head["type"]} has no attention: only MLDecoderHead'):
        inferencer(path, return_attention=True)


def test_attention_of_the_labels(config, checkpoint, inferencer, fake_coco):
    folder = fake_coco / 'val2017'
    plain = inferencer(folder, thr=0.2, topk=3)
    explained = inferencer(folder, thr=0.2, topk=3, return_attention=True)
    model = MODELS.build(config.model | dict(data_preprocessor=config.data_preprocessor)).eval()
    model.load_state_dict(torch.load(checkpoint, weights_only=True)['state_dict'])
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
        height, width = cv2.imread(got['path']).shape[:2]
        assert got['seen'].shape[1] / got['seen'].shape[0] == pytest.approx(
            width / height, rel=0.03
        )


def test_device_that_is_not_there(config, checkpoint):
    if torch.cuda.is_available():
        pytest.skip('there is a GPU')
    with pytest.raises(ValueError, match='device is cuda, but torch finds no GPU'):
        MultiLabelInferencer(config, checkpoint, device='cuda')
