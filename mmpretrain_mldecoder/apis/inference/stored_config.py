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
    """Return the config for predicting with a checkpoint that comes alone.

    Training stores the text of its config in ``meta.cfg``. It is parsed as data
    (:func:`.read_config_text`). The model, its preprocessing and the test pipeline are used, if
    they hold only allowed types and plain values (:func:`.plain_model`). All else (imports of
    modules, data sets, hooks, where weights come from) is dropped.

    Args:
        checkpoint (str | PathLike): File or address of a training's checkpoint; it is read
            weights-only.

    Returns:
        Config: With ``model``, ``data_preprocessor`` and ``test_dataloader``, for
        :class:`MultiLabelInferencer`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no checkpoint of a training, or the config needs more than is allowed.
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
    model, dataset = stored.get('model'), stored
    for key in ('test_dataloader', 'dataset'):
        dataset = dataset.get(key)
        dataset = dataset if isinstance(dataset, Mapping) else {}
    pipeline = dataset.get('pipeline')
    if not isinstance(model, Mapping) or not isinstance(pipeline, list | tuple):
        raise ValueError('it has no model, or no test_dataloader.dataset.pipeline')
    parts = dict(model=plain_model(model, MODELS, 'model'))
    preprocessor = stored.get('data_preprocessor')
    if isinstance(preprocessor, Mapping):
        parts['data_preprocessor'] = plain_model(preprocessor, MODELS, 'data_preprocessor')
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

# How MMEngine writes what Python has no literal for.
_NUMBERS = dict(inf=math.inf, nan=math.nan)


def read_config_text(text: str) -> dict:
    """Return the variables of a config as MMEngine writes it: ``name = value``, one after another.

    A value is a literal (number, text, list, tuple, dict, set, ``True``, ``None``, ...) or a call
    ``dict(key=value)`` or ``dict({key: value})`` of such. Nothing else is understood, so nothing
    in the text is run: no import, no other call, no reference to another variable, and ``_base_``
    has no meaning.

    Raises:
        ValueError: If there is anything else in it; the line is named.
    """
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f'it has {len(text):,} characters, more than {MAX_CHARACTERS:,}')
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        raise ValueError(f'line {error.lineno} is no Python: {error.msg}') from None
    except (ValueError, MemoryError, RecursionError) as error:  # NUL; nested too deeply
        raise ValueError(f'it cannot be parsed: {error or type(error).__name__}') from None
    variables = {}
    for statement in tree.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                variables[name] = _value(value)
            case _:
                raise _refused(statement, 'a line that is not NAME = VALUE')
    return variables


def _value(node: ast.expr):
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name) if name in _NUMBERS:
            return _NUMBERS[name]
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant() | ast.Name() as operand):
            number = _value(operand)
            if type(number) not in (int, float):
                raise _refused(node, f'a minus before {number!r:.40}')
            return -number
        case ast.List(elts=items):
            return [_value(item) for item in items]
        case ast.Tuple(elts=items):
            return tuple(_value(item) for item in items)
        case ast.Set(elts=items):
            return {_key(item) for item in items}
        case ast.Dict(keys=keys, values=values):
            pairs = zip(keys, values, strict=True)
            return _dict(node, [(key and _key(key), value) for key, value in pairs])
        case ast.Call(func=ast.Name(id='dict'), args=[] | [ast.Dict()] as first, keywords=words):
            pairs = [(None, argument) for argument in first]  # dict({2: 3}) as dict(**{2: 3})
            return _dict(node, pairs + [(word.arg, word.value) for word in words])
    raise _refused(node, f'{ast.unparse(node):.60}, which is no plain value')


def _dict(node: ast.expr, pairs: list[tuple]) -> dict:
    """Build a dict; a key of None is what ``**`` stands before."""
    built = {}
    for key, value in pairs:
        content = _value(value)
        if key is not None:
            built[key] = content
        elif isinstance(content, dict):
            built |= content
        else:
            raise _refused(node, '** before something that is no dict')
    return built


def _key(node: ast.expr) -> str | int | float | bool:
    if isinstance(node, ast.Constant) and isinstance(node.value, str | int | float):
        return node.value
    raise _refused(node, f'the key {ast.unparse(node):.60}, which is neither text nor number')


def _refused(node: ast.AST, what: str) -> ValueError:
    return ValueError(f'line {node.lineno} has {what}')


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
