"""Published weights by name: ``paddleclas://NAME``, ``timm://NAME``, ``miil://NAME``.

Imported, it registers the three schemes with MMEngine, so that such a name can stand wherever
MMEngine takes a checkpoint: ``init_cfg=dict(type='Pretrained', checkpoint=...)``, ``load_from``,
``tools/test.py``, ``mmpretrain.get_model(..., pretrained=...)``.
"""

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from mmengine.runner import CheckpointLoader

from .download import download_folder, find_or_download
from .plain_files import read_converted


@dataclass(frozen=True)
class PublishedFile:
    """Where the weights of a name are.

    Attributes:
        url (str): The address.
        files (tuple[str]): Names that the file may have on this machine; a download gets the first.
        note (str): What to know when the address fails. Defaults to nothing.
    """

    url: str
    files: tuple[str, ...]
    note: str = ''


_PADDLECLAS = 'https://paddle-imagenet-models-name.bj.bcebos.com/dygraph'
# Not here: ResNet18 and ResNet34 (not _vd), whose very first shortcut no backbone has.
_PADDLECLAS_NAMES = (
    'ResNet50',
    'ResNet101',
    'ResNet152',
    'ResNet18_vd',
    'ResNet34_vd',
    'ResNet34_vd_ssld',
    'ResNet50_vd',
    'ResNet50_vd_ssld',
    'ResNet101_vd',
    'ResNet101_vd_ssld',
    'ResNet152_vd',
    'ResNet200_vd',
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


def _paddleclas() -> dict[str, PublishedFile]:
    files = {
        name: PublishedFile(
            url=f'{_PADDLECLAS}/legendary_models/{name}_pretrained.pdparams',
            files=(f'{name}_pretrained.pdparams', f'{name}.pdparams'),
        )
        for name in _PADDLECLAS_NAMES
    }
    files['Fix_ResNet50_vd_ssld'] = PublishedFile(
        # Beside the folder of the others, as "_v2", with the top-1 (84.0) and FLOPs of the row.
        url=f'{_PADDLECLAS}/Fix_ResNet50_vd_ssld_v2_pretrained.pdparams',
        files=(
            'Fix_ResNet50_vd_ssld_v2_pretrained.pdparams',
            'Fix_ResNet50_vd_ssld_pretrained.pdparams',
            'Fix_ResNet50_vd_ssld.pdparams',
        ),
        note='This address is not confirmed: older READMEs of PaddleClas print it, and its current '
        'code has none for these weights. ',
    )
    return files


def _timm() -> dict[str, PublishedFile]:
    # The variable of huggingface_hub for a mirror.
    hub = os.environ.get('HF_ENDPOINT', 'https://huggingface.co').rstrip('/')
    names = [f'{model}.{tag}' for model, tags in _TIMM_TAGS.items() for tag in tags.split()]
    return {
        name: PublishedFile(
            url=f'{hub}/timm/{name}/resolve/main/model.safetensors',
            # .bin: timm's pytorch_model.bin
            files=(f'{name}.safetensors', f'{name}.pth', f'{name}.bin'),
        )
        for name in names
    }


def _miil() -> dict[str, PublishedFile]:
    return {
        name: PublishedFile(
            url=f'{_MIIL}/{file}',
            files=(file, f'{name}.pth'),
            note='The addresses of the authors are reported to answer 403 '
            '(https://github.com/Alibaba-MIIL/ML_Decoder/issues/87). ',
        )
        for name, file in _MIIL_FILES.items()
    }


PUBLISHED: dict[str, dict[str, PublishedFile]] = dict(
    paddleclas=_paddleclas(), timm=_timm(), miil=_miil()
)


@CheckpointLoader.register_scheme(prefixes=[f'{scheme}://' for scheme in PUBLISHED], force=True)
def load_from_published(filename: str, map_location=None) -> dict:
    """Find or download published weights and convert them to the names of a whole model.

    Looked for in the folder ``$MLDECODER_WEIGHTS``, then among torch's downloads
    (:func:`~mmpretrain_mldecoder.checkpoints.download.download_folder`). A download is kept
    there.

    Args:
        filename (str): Such as ``'paddleclas://ResNet50_vd_ssld'``; :data:`PUBLISHED` has all.
        map_location: Unused: converted weights are on the CPU, and loading copies them.

    Returns:
        dict: ``state_dict`` with ``backbone.*`` and ``head.*``, and ``meta``; see
        :func:`~.conversion.to_checkpoint`.

    Raises:
        ValueError: If there is no such name, or its file is damaged or holds other weights.
        FileNotFoundError: If ``$MLDECODER_WEIGHTS`` is not a folder.
        ConnectionError, OSError: If it cannot be downloaded or kept; it says where to put a file
            that comes another way.
    """
    return read_converted(find_published(filename), source=filename)


def find_published(filename: str) -> Path:
    """Return the local file of a published name, downloaded if need be.

    Args:
        filename (str): As in :func:`load_from_published`, which says what is raised.
    """
    published = _look_up(filename)
    path = download_folder() / published.files[0]
    way_out = (
        f'{published.note}Get {" or ".join(published.files)} elsewhere and put it in a folder that '
        f'the environment variable MLDECODER_WEIGHTS names, or in {path.parent}'
    )
    return find_or_download(lambda: _find(published.files), published.url, path, way_out)


def _look_up(filename: str) -> PublishedFile:
    scheme, _, name = filename.partition('://')
    known = PUBLISHED[scheme]
    if name not in known:
        similar = ' or '.join(f'{scheme}://{one}' for one in _similar(name, known))
        raise ValueError(
            f'{filename} is not known.'
            + (f' Did you mean {similar}?' if similar else '')
            + f' Known are {scheme}:// and one of {", ".join(known)}'
        )
    return known[name]


def _similar(name: str, known: Iterable[str]) -> list[str]:
    by_lower = {one.lower(): one for one in known}
    begin_so = [lower for lower in by_lower if name and lower.startswith(name.lower())]
    return [by_lower[lower] for lower in begin_so[:3] or get_close_matches(name.lower(), by_lower)]


def _find(files: tuple[str, ...]) -> Path | None:
    folders = [download_folder()]
    own_folder = os.environ.get('MLDECODER_WEIGHTS')
    if own_folder:
        own_folder = Path(own_folder).expanduser()
        if not own_folder.is_dir():
            raise FileNotFoundError(
                f'the environment variable MLDECODER_WEIGHTS names {own_folder}, which is no '
                'folder: make it, or unset the variable'
            )
        folders.insert(0, own_folder)
    paths = (folder / file for folder in folders for file in files)
    return next((path for path in paths if path.is_file()), None)


def checkpoint_identity(checkpoint: str | os.PathLike) -> dict:
    """Return the name of a checkpoint, and the SHA-256 of its file.

    Args:
        checkpoint (str | PathLike): A file, or an address as MMEngine takes it.

    Returns:
        dict: ``checkpoint``, the name without folders, or the address; ``sha256``, as
        ``sha256sum`` prints it. What an address holds is not known, but for the published names
        (``'miil://tresnet_m_coco_224'``): elsewhere ``sha256`` is None.
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
