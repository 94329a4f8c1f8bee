"""The loaders of checkpoints that are registered with MMEngine: files, addresses and names.

Imported, it registers them with ``CheckpointLoader``, for every caller of MMEngine in the process:

- files and ``http(s)://``: published weights of a family (:mod:`.conversion`) get the names of a
  whole ``ImageClassifier``; all other files are handed out as they are;
- ``paddleclas://``, ``timm://``, ``miil://``: published weights by name (:data:`PUBLISHED`);
- MMEngine's names and stores, unconverted.

Each loads weights-only (:mod:`.load`). None of MMEngine's own can stay: those of addresses and
names unpickle any object; the others refuse MMEngine's own log histories, or, in the fork
onedl-mmengine, unpickle any object after that.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mmengine.fileio import get_file_backend
from mmengine.runner import CheckpointLoader
from mmengine.runner.checkpoint import (
    get_deprecated_model_names,
    get_external_models,
    get_mmcls_models,
    get_torchvision_models,
)

from .conversion import convert, recognise, to_checkpoint
from .download import download_folder, download_once, find_or_download
from .fit import below
from .load import load_weights_only, read_weights


@CheckpointLoader.register_scheme(prefixes='', force=True)
def load_from_local(filename: str, map_location: Any = None) -> Any:
    """Load a local file, and convert it if it holds published weights.

    These are ``.pdparams``, ``.pdema`` and ``.safetensors``, and all other files whose names
    :func:`.recognise` knows; they become a checkpoint as of :func:`.to_checkpoint`, on the CPU.
    Raises what :func:`.read_weights` does, and ``ValueError`` if it cannot be converted.
    """
    return _load(filename, filename, map_location)


@CheckpointLoader.register_scheme(prefixes=('http://', 'https://'), force=True)
def load_from_http(filename: str, map_location: Any = None) -> Any:
    """Download a file once (:func:`.download_once`), then load it as a local one."""
    return _load(download_once(filename), filename, map_location)


def _load(path: str | Path, source: str, map_location: Any) -> Any:
    if Path(path).suffix in ('.pdparams', '.pdema', '.safetensors'):  # no checkpoint of MMEngine's
        return _convert(read_weights(path), source)
    checkpoint = load_weights_only(path, map_location)
    if not isinstance(checkpoint, Mapping):
        return checkpoint
    _check_parts(checkpoint, source)
    return checkpoint if recognise(checkpoint) is None else _convert(checkpoint, source)


def _check_parts(checkpoint: Mapping, source: str) -> None:
    """Raise for what would be an obscure error where MMEngine or we read the parts."""
    weights = checkpoint.get('state_dict', checkpoint)
    if not isinstance(weights, Mapping) or not all(isinstance(name, str) for name in weights):
        raise ValueError(f'{source} is damaged: its state_dict is no dict of weights by name')
    for part, inner in (('meta', 'dataset_meta'), ('message_hub', 'log_scalars')):
        content = checkpoint.get(part) or {}
        if not isinstance(content, Mapping) or not isinstance(content.get(inner) or {}, Mapping):
            raise ValueError(f'{source} is damaged: its {part}, or {inner} in it, is no dict')


def _convert(weights: Mapping, source: str) -> dict:
    try:
        return to_checkpoint(convert(weights), source)
    except ValueError as error:
        raise ValueError(f'{source} cannot be converted: {error}') from error


# ---- MMEngine's names and stores

_HUBS = {
    'torchvision': get_torchvision_models,
    'modelzoo': get_torchvision_models,
    'open-mmlab': get_external_models,
    'openmmlab': get_external_models,
    'mmcls': get_mmcls_models,
}


@CheckpointLoader.register_scheme(prefixes=[f'{hub}://' for hub in _HUBS], force=True)
def load_from_hub(filename: str, map_location: Any = None) -> dict:
    """Load a name of MMEngine's lists: ``torchvision://resnet50``; of ``mmcls`` the backbone."""
    hub, _, name = filename.partition('://')
    addresses = _HUBS[hub]()
    name = get_deprecated_model_names().get(name, name)
    if name not in addresses:
        raise ValueError(f'{filename}: {hub}:// has no {name!r}, but {len(addresses)} others')
    checkpoint = load_weights_only(download_once(addresses[name]), map_location)
    if hub == 'mmcls':
        return dict(state_dict=below(checkpoint.get('state_dict', checkpoint), 'backbone.'))
    return checkpoint


@CheckpointLoader.register_scheme(
    prefixes=(r'(\S+\:)?s3://', r'(\S+\:)?petrel://', 'pavi://'),  # MMEngine's own keys
    force=True,
)
def load_from_store(filename: str, map_location: Any = None) -> Any:
    """Load a file of a Ceph store, such as ``s3://bucket/checkpoint.pth``, or a model of Pavi's."""
    with TemporaryDirectory() as folder:
        path = Path(folder, 'checkpoint')  # not a name that the store gives
        if filename.startswith('pavi://'):
            from pavi import modelcloud

            modelcloud.get(filename.removeprefix('pavi://')).download(str(path))
        else:
            store = get_file_backend(filename, backend_args=dict(backend='petrel'))
            path.write_bytes(store.get(filename))
        return load_weights_only(path, map_location)


# ---- published weights by name


@dataclass(frozen=True)
class PublishedFile:
    """Where the weights of a name are.

    A file on this machine may have each name in ``files``; a download gets the first. The ``note``
    is what to know when the address fails.
    """

    url: str
    files: tuple[str, ...]
    note: str = ''


_PADDLECLAS = 'https://paddle-imagenet-models-name.bj.bcebos.com/dygraph'
# Not here: ResNet18 and ResNet34 (not _vd), whose very first shortcut no backbone has.
_PADDLECLAS_NAMES = (
    'ResNet50 ResNet101 ResNet152 ResNet18_vd ResNet34_vd ResNet34_vd_ssld ResNet50_vd '
    'ResNet50_vd_ssld ResNet101_vd ResNet101_vd_ssld ResNet152_vd ResNet200_vd'
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


def _timm() -> dict[str, PublishedFile]:
    # The variable of huggingface_hub for a mirror.
    hub = os.environ.get('HF_ENDPOINT', 'https://huggingface.co').rstrip('/')
    names = [f'{model}.{tag}' for model, tags in _TIMM_TAGS.items() for tag in tags.split()]
    return {
        name: PublishedFile(
            url=f'{hub}/timm/{name}/resolve/main/model.safetensors',
            files=(f'{name}.safetensors', f'{name}.pth', f'{name}.bin'),  # .bin: pytorch_model.bin
        )
        for name in names
    }


PUBLISHED: dict[str, dict[str, PublishedFile]] = dict(
    paddleclas={
        name: PublishedFile(
            url=f'{_PADDLECLAS}/legendary_models/{name}_pretrained.pdparams',
            files=(f'{name}_pretrained.pdparams', f'{name}.pdparams'),
        )
        for name in _PADDLECLAS_NAMES.split()
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
def load_from_published(filename: str, map_location: Any = None) -> dict:
    """Find or download published weights and convert them (:func:`.to_checkpoint`), on the CPU.

    Raises what :func:`find_published` does, and ``ValueError`` if the file is damaged or holds
    other weights.
    """
    return _convert(read_weights(find_published(filename)), filename)


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
    published = _look_up(filename)
    path = download_folder() / published.files[0]
    hint = (
        f'{published.note}Get {" or ".join(published.files)} elsewhere and put it in a folder that '
        f'the environment variable MLDECODER_WEIGHTS names, or in {path.parent}'
    )
    return find_or_download(lambda: _find(published.files), published.url, path, hint)


def _look_up(filename: str) -> PublishedFile:
    scheme, _, name = filename.partition('://')
    known = PUBLISHED[scheme]
    if name not in known:
        by_lower = {one.lower(): f'{scheme}://{one}' for one in known}
        longer = [one for one in by_lower if name and one.startswith(name.lower())]
        similar = longer[:3] or get_close_matches(name.lower(), by_lower)
        did_you_mean = f' Did you mean {" or ".join(by_lower[one] for one in similar)}?'
        raise ValueError(
            f'{filename} is not known.{did_you_mean if similar else ""} Known are {scheme}:// and '
            f'one of {", ".join(known)}'
        )
    return known[name]


def _find(files: tuple[str, ...]) -> Path | None:
    folders = [download_folder()]
    if own_folder := os.environ.get('MLDECODER_WEIGHTS'):
        folders.insert(0, Path(own_folder).expanduser())
        if not folders[0].is_dir():
            raise FileNotFoundError(
                f'the environment variable MLDECODER_WEIGHTS names {folders[0]}, which is not a '
                'folder: make it, or unset the variable'
            )
    paths = (folder / file for folder in folders for file in files)
    return next((path for path in paths if path.is_file()), None)


def checkpoint_identity(checkpoint: str | os.PathLike) -> dict:
    """Return the name of a checkpoint, a file or address, and the SHA-256 of the file.

    Returns:
        dict: ``checkpoint``, the name without folders, or the address; ``sha256``, as ``sha256sum``
        prints it, None for an address that is not a published name.
    """
    name = os.fspath(checkpoint)
    scheme, separator, _ = name.partition('://')
    if separator and scheme not in PUBLISHED:
        return dict(checkpoint=name, sha256=None)
    digest = hashlib.sha256()
    with open(find_published(name) if separator else name, 'rb') as file:
        while block := file.read(2**20):
            digest.update(block)
    return dict(checkpoint=name if separator else Path(name).name, sha256=digest.hexdigest())
