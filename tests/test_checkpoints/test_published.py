import pickle
import re
import socket
from pathlib import Path

import mmpretrain
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import CheckpointLoader
from mmengine.runner.checkpoint import load_checkpoint
from mmpretrain.registry import MODELS
from published_names import paddleclas_fc, paddleclas_resnet, random_arrays
from web_server import Answer, serve

from mmpretrain_mldecoder.apis import MultiLabelInferencer
from mmpretrain_mldecoder.checkpoints import (
    PUBLISHED,
    PublishedFile,
    convert,
    find_published,
    load_from_published,
)
from mmpretrain_mldecoder.checkpoints.published import _timm

ROOT = Path(__file__).parents[2]
WIDTH = 8
# PaddleClas' ResNet18_vd at an eighth of the width, for 3 classes.
ARRAYS = random_arrays(paddleclas_resnet(18, True, WIDTH) | paddleclas_fc(8 * WIDTH, 3))
BACKBONE = dict(type='ResNetVd', depth=18, stem_channels=WIDTH, base_channels=WIDTH)
NAME, FILE = 'paddleclas://ResNet18_vd', 'ResNet18_vd_pretrained.pdparams'


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """torch's download folder, empty, and no other."""
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'home'))
    monkeypatch.delenv('MLDECODER_WEIGHTS', raising=False)
    folder = tmp_path / 'home' / 'hub' / 'checkpoints'
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def server(cache, monkeypatch):
    """A server that has one file; its address stands in the table."""
    with serve() as server:
        server.answers[f'/{FILE}'] = Answer(pickle.dumps(ARRAYS, protocol=4))
        published = PublishedFile(
            f'{server.url}/{FILE}', (FILE, 'ResNet18_vd.pdparams'), 'A note. '
        )
        monkeypatch.setitem(PUBLISHED['paddleclas'], 'ResNet18_vd', published)
        yield server


def _save(path: Path, scale: float) -> None:
    path.write_bytes(pickle.dumps({name: scale * a for name, a in ARRAYS.items()}, protocol=4))


# ---- the table


def test_schemes_are_ours_and_no_others():
    for scheme in PUBLISHED:
        assert CheckpointLoader._get_checkpoint_loader(f'{scheme}://x') is load_from_published
    for name in ('model.pth', 'https://host/model.pth', 'torchvision://resnet50', 'x/timm.pth'):
        assert CheckpointLoader._get_checkpoint_loader(name) is not load_from_published


@pytest.mark.parametrize(
    ('name', 'url'),
    [
        (
            'paddleclas://ResNet50_vd_ssld',
            'https://paddle-imagenet-models-name.bj.bcebos.com/dygraph/legendary_models/'
            'ResNet50_vd_ssld_pretrained.pdparams',
        ),
        (
            'timm://resnet50.a1_in1k',
            'https://huggingface.co/timm/resnet50.a1_in1k/resolve/main/model.safetensors',
        ),
        (
            'miil://tresnet_l_coco_448',
            'https://miil-public-eu.oss-eu-central-1.aliyuncs.com/model-zoo/ML_Decoder/'
            'tresnet_l_COCO__448_90_0.pth',
        ),
    ],
)
def test_addresses(name, url):
    scheme, _, name = name.partition('://')
    assert PUBLISHED[scheme][name].url == url


def test_files_are_told_apart():
    files = [file for names in PUBLISHED.values() for one in names.values() for file in one.files]
    assert len(files) == len(set(files))


def test_configs_ask_for_known_names():
    text = ''.join(path.read_text() for path in ROOT.glob('configs/**/*.*'))
    asked = set(re.findall(r'\b(paddleclas|timm|miil)://([\w.]*\w)', text))
    assert {scheme for scheme, _ in asked} >= {'paddleclas', 'timm'}
    for scheme, name in asked:
        assert name in PUBLISHED[scheme], f'{scheme}://{name}'


def test_timm_knows_the_timm_names():
    timm = pytest.importorskip('timm')
    assert set(PUBLISHED['timm']) <= set(timm.list_pretrained(['resnet*', 'tresnet*']))


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        (
            'paddleclas://resnet50_VD',
            r'Did you mean paddleclas://ResNet50_vd or paddleclas.*\? Known are .*ResNet152,',
        ),
        ('timm://resnet50.a1', r'Did you mean timm://resnet50.a1'),
        ('miil://tresnet_l_448', r'Did you mean miil://tresnet_l_coco_448'),
        ('miil://', r'miil:// is not known. Known are miil:// and one of tresnet_m_coco_224, '),
    ],
)
def test_unknown_name(cache, name, message):
    with pytest.raises(ValueError, match=message):
        CheckpointLoader.load_checkpoint(name)


# ---- where a file is looked for


def test_order_own_folder_cache_download(tmp_path, cache, server, monkeypatch):
    own = tmp_path / 'own'
    own.mkdir()
    monkeypatch.setenv('MLDECODER_WEIGHTS', str(own))
    assert find_published(NAME) == cache / FILE and server.requests == [f'/{FILE}']
    assert find_published(NAME) == cache / FILE and len(server.requests) == 1
    _save(own / 'ResNet18_vd.pdparams', 2)  # the second of the names it may have
    assert find_published(NAME) == own / 'ResNet18_vd.pdparams'
    bias = CheckpointLoader.load_checkpoint(NAME)['state_dict']['head.fc.bias']
    assert torch.equal(bias, 2 * torch.from_numpy(ARRAYS['fc.bias']))


def test_own_folder_that_is_not_there(tmp_path, cache, server, monkeypatch):
    monkeypatch.setenv('MLDECODER_WEIGHTS', str(tmp_path / 'absent'))
    with pytest.raises(FileNotFoundError, match=r'MLDECODER_WEIGHTS names .*absent, which is no'):
        find_published(NAME)
    assert server.requests == []
    monkeypatch.setenv('MLDECODER_WEIGHTS', '')  # the same as unset
    find_published(NAME)


# ---- what is loaded


def test_init_cfg_takes_the_backbone(server):
    model = MODELS.build(BACKBONE | dict(init_cfg=dict(type='Pretrained', checkpoint=NAME)))
    model.init_weights()
    expected = convert(ARRAYS).state_dict
    for name, value in model.state_dict().items():
        if not name.endswith('num_batches_tracked'):
            assert torch.equal(value, expected[f'backbone.{name}']), name


def _config(**more) -> Config:
    return Config(
        dict(
            model=dict(
                type='ImageClassifier',
                backbone=BACKBONE,
                neck=dict(type='GlobalAveragePooling'),
                head=dict(type='MultiLabelLinearClsHead', num_classes=3, in_channels=8 * WIDTH),
            ),
            test_dataloader=dict(
                dataset=dict(
                    type='COCOMultiLabel',
                    classes=('a', 'b', 'c'),
                    pipeline=[
                        dict(type='LoadImageFromFile'),
                        dict(type='Resize', scale=(32, 32)),
                        dict(type='PackInputs'),
                    ],
                )
            ),
            **more,
        )
    )


def test_get_model(server):
    model = mmpretrain.get_model(_config(), pretrained=NAME)
    assert torch.equal(model.head.fc.weight, torch.from_numpy(ARRAYS['fc.weight'].T.copy()))


def test_inferencer(server, fake_coco):
    inferencer = MultiLabelInferencer(_config(), NAME, device='cpu')
    (image,) = inferencer(str(fake_coco / 'val2017' / f'{0:012d}.jpg'), thr=0)
    assert sorted(image['labels']) == ['a', 'b', 'c']


def test_meta_says_where_it_is_from(server):
    checkpoint = CheckpointLoader.load_checkpoint(NAME)
    assert checkpoint['meta']['converted']['source'] == NAME
    assert checkpoint['meta']['converted']['family'] == 'paddleclas'


# ---- what can go wrong


def test_no_network_says_where_to_put_the_file(cache, monkeypatch):
    with socket.socket() as unused:
        unused.bind(('127.0.0.1', 0))
        url = f'http://127.0.0.1:{unused.getsockname()[1]}/x.pth'
    for scheme, name, note in (
        ('paddleclas', 'ResNet50', ''),
        ('paddleclas', 'Fix_ResNet50_vd_ssld', 'This address is not confirmed: '),
        ('miil', 'tresnet_m_coco_224', 'reported to answer 403 .*issues/87'),
    ):
        known = PUBLISHED[scheme][name]
        monkeypatch.setitem(PUBLISHED[scheme], name, PublishedFile(url, known.files, known.note))
        message = (
            rf'refused.*{note}.*Get {known.files[0]} or .*MLDECODER_WEIGHTS names, or in {cache}'
        )
        with pytest.raises(ConnectionError, match=message):
            load_checkpoint(torch.nn.Linear(1, 1), f'{scheme}://{name}')
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize(
    ('answer', 'message'),
    [
        (Answer(status=403), r'answers 403 Forbidden\. A note\. Get ResNet18_vd_pretrained'),
        (Answer(b'<html>', content_type='text/html'), 'answers with a web page'),
        (Answer(b'short', length=100), 'only 5 of 100 bytes came'),
    ],
)
def test_failed_download_keeps_nothing(cache, server, answer, message):
    server.answers[f'/{FILE}'] = answer
    with pytest.raises(ConnectionError, match=message):
        CheckpointLoader.load_checkpoint(NAME)
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize('content', [b'<!DOCTYPE html><html>', b'', b'\x80\x04', b'garbage'])
@pytest.mark.parametrize(
    ('name', 'file'),
    [
        (NAME, FILE),
        ('timm://resnet50.a1_in1k', 'resnet50.a1_in1k.safetensors'),
        ('timm://resnet50.a1_in1k', 'resnet50.a1_in1k.pth'),
        ('miil://tresnet_m_coco_224', 'tresnet_m_COCO_224_84_2.pth'),
    ],
)
def test_damaged_file_is_named(cache, name, file, content):
    (cache / file).write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(str(cache / file))):
        CheckpointLoader.load_checkpoint(name)


@pytest.mark.parametrize('share', [0.3, 0.9, 0.999])
def test_truncated_file(cache, share):
    whole = pickle.dumps(ARRAYS, protocol=4)
    (cache / FILE).write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ValueError, match=re.escape(str(cache / FILE))):
        CheckpointLoader.load_checkpoint(NAME)


def test_file_of_other_weights(cache):
    (cache / FILE).write_bytes(pickle.dumps({'a.weight': ARRAYS['fc.weight']}, protocol=4))
    with pytest.raises(ValueError, match=rf'{NAME} cannot be converted: .*a\.weight'):
        CheckpointLoader.load_checkpoint(NAME)


def test_mirror_of_the_hub(monkeypatch):
    monkeypatch.setenv('HF_ENDPOINT', 'https://mirror.invalid/')
    url = _timm()['resnet50.a1_in1k'].url
    assert url == 'https://mirror.invalid/timm/resnet50.a1_in1k/resolve/main/model.safetensors'
