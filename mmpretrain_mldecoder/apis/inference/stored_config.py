"""The config that a checkpoint carries, as far as a prediction needs it, and without running it."""

import os
from collections.abc import Mapping

from mmengine.config import Config
from mmengine.runner import CheckpointLoader
from mmpretrain.registry import MODELS, TRANSFORMS

from .config_text import read_config_text
from .plain_model import plain_model


def stored_config(checkpoint: str | os.PathLike) -> Config:
    """Return the config for predicting with a checkpoint that comes alone.

    Training stores the text of its config in ``meta.cfg``. It is read as data
    (:func:`.read_config_text`); of that, the model, its preprocessing and the test pipeline are
    taken, if they hold nothing but allowed types and plain values (:func:`.plain_model`). All
    else, imports of modules, data sets, hooks, where weights come from, is left out. The class
    names are those of ``meta.dataset_meta.classes``, else those written out in the config.

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
    meta = meta if isinstance(meta, Mapping) else {}
    if not isinstance(meta.get('cfg'), str):
        raise ValueError(f'{name} carries no config (meta.cfg): {_WAY_OUT}')
    try:
        return _for_prediction(read_config_text(meta['cfg']), meta)
    except ValueError as error:
        raise ValueError(f'the config in {name} is not used: {error}; {_WAY_OUT}') from None


_WAY_OUT = 'name a config file that you trust'


def _for_prediction(stored: Mapping, meta: Mapping) -> Config:
    model, dataset = stored.get('model'), _inner(stored, 'test_dataloader', 'dataset')
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
    classes = _classes(meta.get('dataset_meta'), dataset.get('metainfo'), dataset)
    # It is never built: the type says that it has no names of its own.
    dataset = dict(type='COCOMultiLabel', pipeline=transforms, metainfo=dict(classes=classes))
    return Config(dict(parts, test_dataloader=dict(dataset=dataset)))


def _inner(config: Mapping, *keys: str) -> Mapping:
    for key in keys:
        config = config.get(key)
        if not isinstance(config, Mapping):
            return {}
    return config


def _classes(*places) -> list[str]:
    for place in places:
        names = place.get('classes') if isinstance(place, Mapping) else None
        if isinstance(names, list | tuple) and names and all(isinstance(n, str) for n in names):
            return list(names)
    raise ValueError('it has no names of classes, and neither has meta.dataset_meta')
