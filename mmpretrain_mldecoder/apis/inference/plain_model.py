"""Take from a config that nobody vouches for what describes a model, and nothing that acts."""

import re
from collections.abc import Mapping

from mmengine.registry import Registry

# What may be built: classes of these modules. They were looked through: none of them reads a file,
# goes to the network, or looks a name up elsewhere than in the registries, given the values that
# `_plain` lets through. Not here, among others: VQA and ArcFace heads and the vector quantizer
# (they read files), HuggingFaceClassifier and TimmClassifier (they download, and may run what they
# get), `torchvision/...` transforms (a `dtype` goes to `eval`), Albumentations.
_MODULES = (
    'mmpretrain_mldecoder.models',
    'mmpretrain_mldecoder.datasets.transforms',
    'mmpretrain.models.backbones',
    'mmpretrain.models.classifiers.image',
    'mmpretrain.models.heads.cls_head',
    'mmpretrain.models.heads.conformer_head',
    'mmpretrain.models.heads.deit_head',
    'mmpretrain.models.heads.efficientformer_head',
    'mmpretrain.models.heads.levit_head',
    'mmpretrain.models.heads.linear_head',
    'mmpretrain.models.heads.multi_label_cls_head',
    'mmpretrain.models.heads.multi_label_csra_head',
    'mmpretrain.models.heads.multi_label_linear_head',
    'mmpretrain.models.heads.stacked_head',
    'mmpretrain.models.heads.vision_transformer_head',
    'mmpretrain.models.losses',
    'mmpretrain.models.necks',
    'mmpretrain.models.utils.attention',
    'mmpretrain.models.utils.data_preprocessor',
    'mmpretrain.models.utils.layer_scale',
    'mmpretrain.models.utils.norm',
    'mmpretrain.models.utils.swiglu_ffn',
    'mmcv.cnn.bricks',
    'torch.nn.modules',
)
# fmt: off
_TRANSFORMS = {
    'CenterCrop', 'Collect', 'EfficientNetCenterCrop', 'LoadImageFromFile', 'Normalize',
    'PackInputs', 'Pad', 'Resize', 'ResizeEdge', 'ToTensor', 'Transpose',
}

# Where weights come from, how they are made, what happens in training only, and where files are
# read from: a prediction from a checkpoint needs none of it.
_LEFT_OUT = {
    'backend_args', 'batch_augments', 'checkpoint_path', 'file_client_args', 'init_cfg',
    'pretrained', 'pretrained_cfg', 'train_cfg',
}
# fmt: on
# Of the host's packages, a type may be written with its module.
_SCOPES = ('mmpretrain', 'mmengine', 'mmcv', 'mmpretrain_mldecoder')
# No path, no address, no code: texts of a model are names of layers and of modes.
_WORD = re.compile(r'[A-Za-z0-9_-]{0,64}')
_TIMM_NAME = re.compile(r'[a-z0-9_]{1,64}(\.[a-z0-9_]{1,64})?')


def plain_model(config: Mapping, registry: Registry, where: str) -> dict:
    """Copy a part of a config, each type as its name in the registry.

    Args:
        config (Mapping): Of a model, or of one transform: dicts, lists, tuples, numbers, text.
        registry (Registry): ``MODELS`` or ``TRANSFORMS``. Types are looked up in it and its
            parents, and nowhere else; they must come from the modules that are allowed here.
        where (str): What the part is called in errors.

    Returns:
        dict: Without ``init_cfg``, ``pretrained`` and others that a trained model does not need.

    Raises:
        ValueError: If it asks for another type, or holds text that is no plain word.
    """
    registry.import_from_location()
    return _plain(config, registry, where)


def _plain(value, registry: Registry, where: str):
    if isinstance(value, Mapping):
        keys = [key for key in value if key not in _LEFT_OUT]
        if bad := [key for key in keys if not (isinstance(key, str) and key.isidentifier())]:
            raise ValueError(f'{where} has the key {bad[0]!r:.80}')
        known = {key: value[key] for key in keys if key != 'type'}
        if 'type' not in keys:
            return {key: _plain(v, registry, f'{where}.{key}') for key, v in known.items()}
        name = _type_name(value['type'], registry, where)
        if name == 'TIMMBackbone':
            _check_timm(known, where)
            return dict(known, type=name)
        plain = {key: _plain(v, registry, f'{where}.{key}') for key, v in known.items()}
        return dict(plain, type=name)
    if isinstance(value, list | tuple):
        items = [_plain(item, registry, f'{where}[{i}]') for i, item in enumerate(value)]
        return type(value)(items)
    if isinstance(value, str) and not _WORD.fullmatch(value):
        raise ValueError(f'{where} is {value!r:.80}, which is no plain word')
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise ValueError(f'{where} is {value!r:.80}, not text, number, list or dict')


def _type_name(name, registry: Registry, where: str) -> str:
    """Return the name under which an allowed class is registered."""
    scope, _, bare = name.rpartition('.') if isinstance(name, str) else ('', '', None)
    if bare and (not scope or scope.partition('.')[0] in _SCOPES):
        while registry is not None:
            if bare in registry.module_dict:
                if _is_allowed(registry.module_dict[bare], bare):
                    return bare
                break
            registry = registry.parent
    raise ValueError(
        f'{where}.type is {name!r:.80}, which is not built without a config: it is not among the '
        'parts of a classifier that MMPretrain or mmpretrain_mldecoder registers and that are '
        'known to read nothing'
    )


def _is_allowed(registered: type, name: str) -> bool:
    module = getattr(registered, '__module__', '')
    if name in _TRANSFORMS and module.startswith(('mmcv.transforms.', 'mmpretrain.datasets.')):
        return True
    return any(module == one or module.startswith(one + '.') for one in _MODULES)


def _check_timm(arguments: Mapping, where: str) -> None:
    """See that timm is asked for one of its own networks, with numbers as options."""
    name = arguments.get('model_name')
    if not isinstance(name, str) or not _TIMM_NAME.fullmatch(name):
        raise ValueError(f'{where}.model_name is {name!r:.80}, no name of a network of timm')
    for key, value in arguments.items():
        numbers = value if isinstance(value, list | tuple) else [value]
        if key != 'model_name' and not all(isinstance(n, bool | int | float) for n in numbers):
            raise ValueError(f'{where}.{key} is {value!r:.80}, not a number')
