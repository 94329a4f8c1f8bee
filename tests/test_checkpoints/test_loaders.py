import hashlib
import pickle
import re
import socket
import sys
from pathlib import Path
from types import SimpleNamespace

import mmpretrain
import pytest
import torch
import torchvision
from hostile_files import archive
from mmengine.config import Config
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader
from mmpretrain.registry import MODELS
from published_names import paddleclas_fc, paddleclas_resnet, random_arrays
from web_server import Answer, serve

from mmpretrain_mldecoder.checkpoints import (
    PUBLISHED,
    PublishedFile,
    find_published,
    load_weights_only,
    loaders,
    published,
    timm_models,
)
from mmpretrain_mldecoder.checkpoints.published import checkpoint_identity

load = CheckpointLoader.load_checkpoint
ROOT = Path(__file__).parents[2]
WIDTH = 8
# PaddleClas' ResNet18_vd at an eighth of the width, for 3 classes.
ARRAYS = random_arrays(paddleclas_resnet(18, True, WIDTH) | paddleclas_fc(8 * WIDTH, 3))
NAME, FILE = 'paddleclas://ResNet18_vd', 'ResNet18_vd_pretrained.pdparams'


EVIL = archive(dict(call=print))


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
        file = PublishedFile(f'{server.url}/{FILE}', (FILE, 'ResNet18_vd.pdparams'))
        monkeypatch.setitem(PUBLISHED['paddleclas'], 'ResNet18_vd', file)
        yield server


def test_no_loader_of_a_checkpoint_is_left_to_the_host():
    # Private, as MMEngine has no list of its loaders; whatever a new version adds is seen here.
    for prefix, loader in CheckpointLoader._schemes.items():
        assert loader.__module__ == 'mmpretrain_mldecoder.checkpoints.loaders', prefix


# ---- files and addresses


def classifier() -> dict[str, torch.Tensor]:
    return torchvision.models.resnet18(num_classes=3).state_dict()


def host_model():
    return MODELS.build(dict(type='ImageClassifier', backbone=dict(type='ResNet', depth=18)))


@pytest.mark.parametrize('file', ['a.pdparams', 'a.pdema', 'a.safetensors', 'a.pth', 'wrapped.pth'])
def test_published_weights_are_converted(tmp_path, file):
    path = tmp_path / file
    if path.suffix.startswith('.pd'):
        path.write_bytes(pickle.dumps(ARRAYS, protocol=4))
    elif path.suffix == '.safetensors':
        pytest.importorskip('safetensors.torch').save_file(classifier(), path)
    else:
        torch.save(
            dict(state_dict=classifier(), epoch=3) if 'wrapped' in file else classifier(), path
        )
    loaded = load(str(path))
    family = 'paddleclas' if path.suffix.startswith('.pd') else 'torchvision'
    assert loaded['meta']['converted'].items() >= dict(source=str(path), family=family).items()
    assert loaded['state_dict']['head.fc.weight'].shape[0] == 3


OTHERS = {
    'ours': dict(meta=dict(epoch=1), state_dict=host_model().state_dict(), optimizer={}),
    'no meta': dict(state_dict=host_model().state_dict(), meta=None),
    'backbone': host_model().backbone.state_dict(),  # torchvision's names, but no classifier
    'other': dict(model=3, weights=torch.ones(2)),
}


@pytest.mark.parametrize('content', OTHERS.values(), ids=OTHERS)
def test_all_other_files_are_untouched(tmp_path, content):
    torch.save(content, tmp_path / 'a.pth')
    loaded, plain = load(str(tmp_path / 'a.pth')), load_weights_only(tmp_path / 'a.pth')
    assert type(loaded) is type(plain) and str(loaded) == str(plain)


def test_errors_name_the_file(tmp_path):
    for content in ([torch.ones(2)], 'text', {}, dict(epoch=3)):
        torch.save(content, tmp_path / 'c.pth')
        with pytest.raises(ValueError, match=r'c\.pth holds .*weights'):
            load(str(tmp_path / 'c.pth'))
    (tmp_path / 'd.pth').write_bytes(EVIL)
    with pytest.raises(ValueError, match=r'd\.pth holds builtins.print'):
        load(str(tmp_path / 'd.pth'))


WEIGHTS = dict(weight=torch.ones(1))


@pytest.mark.parametrize(
    ('content', 'what'),
    [
        (dict(state_dict=[1]), 'its state_dict is no dict'),
        (dict(state_dict=None), 'its state_dict is no dict'),
        ({1: torch.ones(1)}, 'its state_dict is no dict'),
        (dict(state_dict=WEIGHTS, meta=[1]), 'its meta, or dataset_meta in it, is no dict'),
        (dict(state_dict=WEIGHTS, meta=dict(dataset_meta='x')), 'its meta, or dataset_meta'),
        (dict(state_dict=WEIGHTS, message_hub=dict(log_scalars=[1])), 'its message_hub, or log_'),
    ],
)
def test_parts_of_another_kind(tmp_path, content, what):
    torch.save(content, tmp_path / 'a.pth')
    with pytest.raises(ValueError, match=rf'a\.pth is damaged: {what}'):
        load(str(tmp_path / 'a.pth'))


def test_addresses_are_downloaded_once_and_converted(cache, server):
    server.answers['/a.pth'] = Answer(
        archive(dict(weight=torch.ones(2), log=HistoryBuffer([1.0], [1])))
    )
    server.answers['/evil.pth'] = Answer(EVIL)
    for _ in range(2):
        assert load(f'{server.url}/a.pth?version=1')['weight'].tolist() == [1, 1]
        assert load(f'{server.url}/{FILE}')['meta']['converted']['source'].startswith('http')
    with pytest.raises(ValueError, match=r'holds builtins.print'):
        load(f'{server.url}/evil.pth')
    with pytest.raises(ConnectionError, match=r'absent.pth cannot be downloaded: .*404.*put it at'):
        load(f'{server.url}/absent.pth')
    assert len(server.requests) == 4
    assert sorted(path.name for path in cache.iterdir()) == [FILE, 'a.pth', 'evil.pth']


# ---- MMEngine's names and stores


@pytest.mark.parametrize('hub', ['torchvision', 'modelzoo', 'open-mmlab', 'openmmlab', 'mmcls'])
def test_names_of_mmengine(cache, monkeypatch, hub):
    # The files lie in the download folder already, so that nothing is fetched.
    torch.save({'backbone.conv': torch.ones(1), 'head.fc': torch.ones(1)}, cache / 'good.pth')
    (cache / 'evil.pth').write_bytes(EVIL)
    addresses = {name: f'https://host.invalid/{name}.pth' for name in ('good', 'evil')}
    assert len(loaders._HUBS[hub]()) > 10
    monkeypatch.setitem(loaders._HUBS, hub, lambda: addresses)
    loaded = load(f'{hub}://good')
    if hub == 'mmcls':
        assert list(loaded['state_dict']) == ['conv']
    else:
        assert list(loaded) == ['backbone.conv', 'head.fc']
    with pytest.raises(ValueError, match=r'evil.pth holds builtins.print'):
        load(f'{hub}://evil')
    with pytest.raises(ValueError, match=f"{hub}:// has no 'absent'"):
        load(f'{hub}://absent')


@pytest.fixture
def stores(monkeypatch):
    """The clients of the stores, which answer by the last part of an address."""
    good = archive(dict(weight=torch.ones(2), log=HistoryBuffer([1.0], [1])))
    files = dict(good=good, evil=EVIL)

    class Client:
        def __init__(self, *args, **kwargs):
            pass

        def Get(self, address):
            return files[address.rpartition('/')[2]]

    def get(name):
        return SimpleNamespace(download=lambda path: Path(path).write_bytes(files[name]))

    petrel = SimpleNamespace(client=SimpleNamespace(Client=Client))
    pavi = SimpleNamespace(modelcloud=SimpleNamespace(get=get))
    modules = {'petrel_client': petrel, 'petrel_client.client': petrel.client, 'pavi': pavi}
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)


@pytest.mark.parametrize(
    'address', ['s3://bucket/{}', 'main:s3://bucket/{}', 'petrel://bucket/{}', 'pavi://{}']
)
def test_stores(stores, address):
    loaded = load(address.format('good'))
    assert loaded['weight'].tolist() == [1, 1] and loaded['log'].current() == 1
    with pytest.raises(ValueError, match=r'holds builtins.print, which could run code'):
        load(address.format('evil'))


# ---- published names


@pytest.mark.parametrize('endpoint', ['https://mirror.invalid/', 'mirror.invalid'])
def test_addresses(monkeypatch, endpoint):
    for scheme, name, url in (
        (
            'paddleclas',
            'ResNet50_vd_ssld',
            '/legendary_models/ResNet50_vd_ssld_pretrained.pdparams',
        ),
        ('miil', 'tresnet_l_coco_448', '/model-zoo/ML_Decoder/tresnet_l_COCO__448_90_0.pth'),
    ):
        assert PUBLISHED[scheme][name].url.endswith(url)
    monkeypatch.setenv('HF_ENDPOINT', endpoint)
    with_timm = published._look_up('timm://resnet50.a1_in1k')
    monkeypatch.setitem(sys.modules, 'timm', None)
    without = published._look_up('timm://resnet50.a1_in1k')
    address = 'https://mirror.invalid/timm/resnet50.a1_in1k/resolve/main/model.safetensors'
    assert with_timm == without and without.url == address
    with pytest.raises(ImportError, match='pip install timm'):
        published._look_up('timm://convnext_tiny.fb_in1k')
    files = [file for names in PUBLISHED.values() for one in names.values() for file in one.files]
    assert len(files) == len(set(files))


def test_configs_ask_for_known_names():
    text = ''.join(path.read_text() for path in ROOT.glob('configs/**/*.*'))
    asked = set(re.findall(r'\b(paddleclas|paddlex|timm|miil)://([\w.-]*\w)', text))
    assert {scheme for scheme, _ in asked} >= {'paddleclas', 'timm'}
    known = PUBLISHED | dict(timm=timm_models.names())
    for scheme, name in asked:
        assert name in known[scheme], f'{scheme}://{name}'


def test_timm_knows_the_timm_names():
    names = set(pytest.importorskip('timm').list_pretrained())
    assert names >= set(PUBLISHED['timm'])
    assert {name.partition('.')[0] for name in names} >= set(published.TIMM_RESNETS)


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('paddleclas://resnet50_VD', r'near: ResNet50_vd .*Known are .*152,'),
        ('timm://resnet50.a1', r'near: resnet50.a1'),
        ('miil://tresnet_l_448', r'near: tresnet_l_coco_448'),
        ('miil://', r'miil:// is not known. Known are miil:// and one of tresnet_m_coco_224, '),
        ('tim://resnet50.a1_in1k', r'no weights are loaded from tim:; near: timm'),
        ('timm:/resnet50.a1_in1k', r'no weights are loaded from timm:.* timm://MODEL\.TAG'),
        ('paddlex:ResNet50_ML', r'no weights are loaded from paddlex:.*paddlex://'),
        ('hf-hub:timm/resnet50.a1_in1k', r'from hf-hub:.* timm://MODEL\.TAG'),
    ],
)
def test_unknown_name(cache, name, message):
    with pytest.raises(ValueError, match=message):
        load(name)


def test_order_own_folder_cache_download(tmp_path, cache, server, monkeypatch):
    own = tmp_path / 'own'
    own.mkdir()
    monkeypatch.setenv('MLDECODER_WEIGHTS', str(own))
    assert find_published(NAME) == cache / FILE and server.requests == [f'/{FILE}']
    assert find_published(NAME) == cache / FILE and len(server.requests) == 1
    second = own / 'ResNet18_vd.pdparams'  # of the names it may have
    second.write_bytes(pickle.dumps({name: 2 * array for name, array in ARRAYS.items()}, 4))
    assert find_published(NAME) == second
    bias = load(NAME)['state_dict']['head.fc.bias']
    assert torch.equal(bias, 2 * torch.from_numpy(ARRAYS['fc.bias']))
    assert load(NAME)['meta']['converted']['source'] == NAME


def test_get_model(server):
    model = dict(
        type='ImageClassifier',
        backbone=dict(type='ResNetVd', depth=18, stem_channels=WIDTH, base_channels=WIDTH),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='MultiLabelLinearClsHead', num_classes=3, in_channels=8 * WIDTH),
    )
    model = mmpretrain.get_model(Config(dict(model=model)), pretrained=NAME)
    assert torch.equal(model.head.fc.weight, torch.from_numpy(ARRAYS['fc.weight'].T.copy()))


@pytest.mark.parametrize('row', ['r50_coco', 'swin_t_coco-448px'])
def test_get_model_of_a_row_without_weights(row):
    with pytest.raises(ValueError, match=rf"{row}.* has no published weights.*pretrained='"):
        mmpretrain.get_model(f'mldecoder_{row}', pretrained=True)


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
            load(f'{scheme}://{name}')
    assert list(cache.iterdir()) == []


@pytest.mark.filterwarnings('ignore:Detected pickle protocol')
@pytest.mark.parametrize(
    ('name', 'file'),
    [
        (NAME, FILE),
        ('timm://resnet50.a1_in1k', 'resnet50.a1_in1k.safetensors'),
        ('timm://resnet50.a1_in1k', 'resnet50.a1_in1k/model.safetensors'),
        ('timm://resnet50.a1_in1k', 'resnet50.a1_in1k.pth'),
        ('miil://tresnet_m_coco_224', 'tresnet_m_COCO_224_84_2.pth'),
    ],
)
def test_damaged_file_is_named(cache, name, file):
    arrays = pickle.dumps(ARRAYS, protocol=4)
    (cache / file).parent.mkdir(exist_ok=True)
    for content in (b'<!DOCTYPE html><html>', b'', b'\x80\x04', b'garbage', arrays[:-999]):
        (cache / file).write_bytes(content)
        with pytest.raises(ValueError, match=re.escape(str(cache / file))):
            load(name)


def test_identity_of_a_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / 'best.pth'
    path.write_bytes(b'weights' * 300_000)  # more than is read at once
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert checkpoint_identity(path) == dict(checkpoint='best.pth', sha256=digest)
    monkeypatch.setenv('MLDECODER_WEIGHTS', str(tmp_path))
    path.rename(tmp_path / FILE)
    assert checkpoint_identity(NAME) == dict(checkpoint=NAME, sha256=digest)
    address = 'https://example.com/best.pth'
    assert checkpoint_identity(address) == dict(checkpoint=address, sha256=None)
