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

import re
from collections.abc import Mapping
from pathlib import Path
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
from ..fileio.terminal import listed
from . import timm_models
from .conversion import as_tensors, convert, family_of, to_checkpoint
from .download import download_once
from .fit import below
from .load import load_weights_only, read_weights
from .published import PUBLISHED, TIMM_RESNETS, find_published
from .weight_sets import choose, split_fragment


@CheckpointLoader.register_scheme(prefixes='', force=True)
def load_from_local(filename: str, map_location: Any = None) -> Any:
    """Load a local file, and convert it if it holds published weights (:func:`.to_checkpoint`).

    ``file.pth#name`` takes the set of weights, or the weights whose names begin, with that name.
    Raises what :func:`.read_weights` and :func:`.choose` do, and ``ValueError`` if the weights
    cannot be converted.
    """
    path, fragment = split_fragment(filename)
    schemes = [*PUBLISHED, *_HUBS, 'http', 'https', 's3', 'petrel', 'pavi']
    scheme = re.match(rf'([\w-]{{2,}}(?=:(?:/|[\w-]+/))|(?:{"|".join(schemes)})(?=:))', path)
    if scheme and not Path(path).exists():
        raise ValueError(
            f'{path}: no weights are loaded from {scheme[1]}:{near_names(scheme[1], schemes)}. '
            f'Known are {"://, ".join(schemes)}://, and files. timm and its hf-hub: are '
            'timm://MODEL.TAG'
        )
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


@CheckpointLoader.register_scheme(prefixes=[f'{scheme}://' for scheme in PUBLISHED], force=True)
def load_from_published(filename: str, map_location: Any = None) -> Mapping:
    """Find or download published weights and convert them (:func:`.to_checkpoint`), on the CPU.

    Raises what :func:`find_published` does, and ``ValueError`` if the file is damaged or holds
    other weights.
    """
    name, fragment = split_fragment(filename)
    content = read_weights(find_published(name))
    scheme, _, model = name.partition('://')
    if scheme == 'timm' and model.partition('.')[0] not in TIMM_RESNETS:
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
