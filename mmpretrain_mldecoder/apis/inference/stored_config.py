"""The config that a checkpoint carries, read as data, as far as a prediction needs it."""

import ast
import math
import os
import re
from collections.abc import Mapping

from mmengine.config import Config
from mmengine.registry import Registry
from mmengine.runner import CheckpointLoader
from mmpretrain.registry import MODELS, TRANSFORMS

from ...checkpoints import classes_of
from ..trained_model import written_classes

_FIX = 'name a config file that you trust'


def stored_config(checkpoint: str | os.PathLike) -> Config:
    """Return the config for predicting with a checkpoint, a file or address, that comes alone.

    The text that training stored in ``meta.cfg`` is parsed as data (:func:`.read_config_text`). The
    model, its preprocessing and the test pipeline are used, if they hold only allowed types and
    plain values (:func:`.plain_model`). All else (imports, data sets, hooks, ...) is dropped.

    Raises ``FileNotFoundError``, and ``ValueError`` if it is no checkpoint of a training, or the
    config needs more than is allowed.
    """
    name = os.fspath(checkpoint)
    content = CheckpointLoader.load_checkpoint(name, map_location='cpu', logger='silent')
    meta = content.get('meta') if isinstance(content, Mapping) else None
    text = meta.get('cfg') if isinstance(meta, Mapping) else None
    if not isinstance(text, str):
        raise ValueError(f'{name} carries no config (meta.cfg): {_FIX}')
    try:
        return _for_prediction(read_config_text(text), classes_of(content))
    except ValueError as error:
        raise ValueError(f'the config in {name} is not used: {error}; {_FIX}') from None


def _for_prediction(stored: dict, stored_classes: list | None) -> Config:
    dataset = stored
    for key in ('test_dataloader', 'dataset'):
        dataset = dataset.get(key)
        dataset = dataset if isinstance(dataset, Mapping) else {}
    pipeline = dataset.get('pipeline')
    if not isinstance(stored.get('model'), Mapping) or not isinstance(pipeline, list | tuple):
        raise ValueError('it has no model, or no test_dataloader.dataset.pipeline')
    parts = {
        name: plain_model(stored[name], MODELS, name)
        for name in ('model', 'data_preprocessor')
        if isinstance(stored.get(name), Mapping)
    }
    transforms = []
    for i, step in enumerate(pipeline):
        where = f'test_dataloader.dataset.pipeline[{i}]'
        if not isinstance(step, Mapping) or 'type' not in step:
            raise ValueError(f'{where} is no dict with a type')
        transforms.append(plain_model(step, TRANSFORMS, where))
    classes = stored_classes or written_classes(dataset)
    if classes is None:
        raise ValueError('it has no class names, and neither has meta.dataset_meta')
    # It is never built: the type says that it has no names of its own.
    dataset = dict(type='COCOMultiLabel', pipeline=transforms, metainfo=dict(classes=classes))
    return Config(dict(parts, test_dataloader=dict(dataset=dataset)))


MAX_CHARACTERS = 1_000_000
"""Longer texts are refused; those of the shipped configs have 3,000 to 8,000."""


def read_config_text(text: str) -> dict:
    """Return the variables of a config as MMEngine writes it: ``name = value``, one after another.

    A value is a literal (number, text, list, tuple, dict, ``None``, ...) or a call
    ``dict(key=value)`` or ``dict({key: value})`` of such. Nothing else is understood, and nothing
    is run: no import, no other call, no reference to a variable, and ``_base_`` has no meaning. A
    ``ValueError`` names the line of anything else.
    """
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f'it has {len(text):,} characters, more than {MAX_CHARACTERS:,}')
    try:
        return dict(map(_variable, _AsLiterals().visit(ast.parse(text)).body))
    except SyntaxError as error:
        raise ValueError(f'line {error.lineno} is no Python: {error.msg}') from None
    except (MemoryError, RecursionError):
        raise ValueError('it cannot be parsed, as it is nested too deeply') from None


_LITERALS = (ast.Constant, ast.UnaryOp, ast.List, ast.Tuple, ast.Set, ast.Dict)
_NUMBERS = dict(inf=math.inf, nan=math.nan)  # for which Python has no literal


class _AsLiterals(ast.NodeTransformer):
    """Replace ``dict(...)``, ``inf`` and ``nan`` by literals."""

    def visit_Name(self, node: ast.Name) -> ast.expr:
        number = _NUMBERS.get(node.id)
        return node if number is None else ast.copy_location(ast.Constant(number), node)

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        match node:
            case ast.Call(func=ast.Name(id='dict'), args=[] | [_] as first, keywords=words):
                parts = first + [
                    ast.Dict([ast.Constant(word.arg)], [word.value]) if word.arg else word.value
                    for word in words
                ]
                if all(isinstance(part, ast.Dict) for part in parts):
                    keys = [key for part in parts for key in part.keys]
                    values = [value for part in parts for value in part.values]
                    return ast.copy_location(ast.Dict(keys, values), node)
        return node


def _variable(statement: ast.stmt) -> tuple[str, object]:
    match statement:
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            try:
                return name, ast.literal_eval(value)
            except (TypeError, ValueError):  # such as an unhashable key
                parts = (part for part in ast.walk(value) if isinstance(part, ast.expr))
                part = next((part for part in parts if not isinstance(part, _LITERALS)), value)
                raise ValueError(
                    f'line {part.lineno} has {ast.unparse(part):.60}, which is no plain value'
                ) from None
    raise ValueError(f'line {statement.lineno} has a line that is not NAME = VALUE')


# What may be built: classes of these modules. They were looked through: none of them reads a file,
# goes to the network, or looks a name up elsewhere than in the registries, given the values that
# `_plain` lets through. Not here, among others: VQA and ArcFace heads and the vector quantizer
# (they read files), HuggingFaceClassifier and TimmClassifier (they download, and may run what they
# get), `torchvision/...` transforms (a `dtype` goes to `eval`), Albumentations.
# fmt: off
_HEADS = (
    'cls_head', 'conformer_head', 'deit_head', 'efficientformer_head', 'levit_head', 'linear_head',
    'multi_label_cls_head', 'multi_label_csra_head', 'multi_label_linear_head', 'stacked_head',
    'vision_transformer_head',
)
# fmt: on
_MODULES = (
    'mmpretrain_mldecoder.models',
    'mmpretrain_mldecoder.datasets.transforms',
    'mmpretrain.models.backbones',
    'mmpretrain.models.classifiers.image',
    *(f'mmpretrain.models.heads.{name}' for name in _HEADS),
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
    """Copy a part of a config, each type as its name in the registry or its parents.

    Left out are ``init_cfg``, ``pretrained`` and others that a trained model does not need. Raises
    ``ValueError`` if it, called ``where`` there, asks for a type that is not of the modules allowed
    here, or holds text that is no plain word.
    """
    registry.import_from_location()
    return _plain(config, registry, where)


def _plain(value, registry: Registry, where: str):
    if isinstance(value, Mapping):
        arguments = {key: v for key, v in value.items() if key not in _LEFT_OUT}
        for key in arguments:
            if not (isinstance(key, str) and key.isidentifier()):
                raise ValueError(f'{where} has the key {key!r:.80}')
        has_type = 'type' in arguments
        name = _type_name(arguments.pop('type'), registry, where) if has_type else None
        if name in ('TIMMBackbone', 'TIMMFeatureMap'):
            _check_timm(arguments, where)
        else:
            arguments = {k: _plain(v, registry, f'{where}.{k}') for k, v in arguments.items()}
        return dict(arguments, type=name) if has_type else arguments
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
    module = getattr(registered, '__module__', '') + '.'
    if name in _TRANSFORMS and module.startswith(('mmcv.transforms.', 'mmpretrain.datasets.')):
        return True
    return module.startswith(tuple(f'{allowed}.' for allowed in _MODULES))


def _check_timm(arguments: Mapping, where: str) -> None:
    """See that timm is asked for one of its own networks, with numbers as options."""
    name = arguments.get('model_name')
    if not isinstance(name, str) or not _TIMM_NAME.fullmatch(name):
        raise ValueError(f'{where}.model_name is {name!r:.80}, no name of a network of timm')
    for key, value in arguments.items():
        numbers = value if isinstance(value, list | tuple) else [value]
        if key != 'model_name' and not all(isinstance(n, bool | int | float) for n in numbers):
            raise ValueError(f'{where}.{key} is {value!r:.80}, not a number')
