"""Config and weights of a trained model, and the names of its classes."""

import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.runner import CheckpointLoader
from mmpretrain.apis import ModelHub, list_models
from mmpretrain.registry import DATASETS

from ..checkpoints import classes_of
from ..checkpoints.classes import compare_classes
from ..checkpoints.fit import check_no_nan, load_whole
from ..datasets import COCOMultiLabel
from ..datasets.coco_annotations import read_coco_annotations
from ..engine.checks.config_error import read_config
from ..engine.checks.pixels import pixel_differences
from ..fileio.near_names import near_names
from ..fileio.terminal import counted


def config_and_checkpoint(
    model: str | os.PathLike | Config | BaseModel, pretrained: str | os.PathLike | bool | None
) -> tuple[Config, str | os.PathLike | None]:
    """Return a model's config and the checkpoint to load, None for the weights that it has."""
    fix = 'set load_from in the config'
    if isinstance(model, BaseModel):
        if getattr(model, '_config', None) is None:
            raise ValueError(
                'the model does not know its config, whose test pipeline is needed: build it with '
                'mmpretrain.get_model(config, checkpoint), or set its attribute _config'
            )
        return model._config, None if isinstance(pretrained, bool) else pretrained
    if isinstance(model, str) and Path(model).suffix not in ('.py', '.json', '.yaml', '.yml'):
        config, weights = _named_row(model)
        fix = f'train one with {config.filename}: none of the complete model is published'
    elif isinstance(model, str | os.PathLike | Config):
        config = read_config(model)
        weights = config.get('load_from') or None
        if weights is None and (published := _published_weights(config)):
            fix = f'take the published ones of this config: pretrained={published!r}'
    else:
        kinds = 'a config, its path, the name of a row or a built model'
        raise TypeError(f'model must be {kinds}, not {type(model).__name__}')
    checkpoint = weights if pretrained is None or pretrained is True else pretrained
    if not checkpoint:
        why = 'no checkpoint: the scores of an untrained model mean nothing'
        raise ValueError(f'{why}. Name one with pretrained=..., or {fix}')
    return config, checkpoint


def _named_row(name: str) -> tuple[Config, str | None]:
    """Return config and published weights of what ``mmpretrain.list_models`` lists."""
    known = list_models()
    if name.lower() not in known:
        near = near_names(name, known)
        raise ValueError(
            f'no model is called {name!r}{near}. mmpretrain.list_models() has all names; the path '
            'of a config ends in .py'
        )
    row = ModelHub.get(name)
    return row.config, row.weights if _is_published(row.weights) else None


def _is_published(weights: str | None) -> bool:
    return bool(weights) and not weights.startswith('unpublished://')


def _published_weights(config: Config) -> str | None:
    """Return the weights of the row of which this is the config, None if it is of none."""
    path = Path(config.filename or '').resolve()
    list_models()  # adds the rows of the host
    rows = [
        row for row in ModelHub._models_dict.values() if row.config and _is_published(row.weights)
    ]
    return next((row.weights for row in rows if Path(row.config).resolve() == path), None)


def load_trained(
    model: BaseModel,
    config: Config,
    checkpoint: str | os.PathLike | None,
    classes: Sequence[str] | None = None,
) -> tuple[list[str], dict]:
    """Load a checkpoint strictly into a config's model; return the class names and its ``meta``.

    Without a checkpoint, the weights of the model and what ``mmpretrain.get_model`` attached to it
    are taken. ``classes`` are the names to use in place of those that are found. Raises what
    :func:`.load_whole` and :func:`class_names` do, and if the checkpoint is absent or damaged.
    """
    content: Mapping = dict(meta=dict(dataset_meta=getattr(model, '_dataset_meta', None)))
    source = 'the model' if checkpoint is None else os.fspath(checkpoint)
    if checkpoint is not None:
        content = CheckpointLoader.load_checkpoint(source, map_location='cpu', logger='silent')
        load_whole(model, content, source)
        pipeline = (config.get('test_dataloader') or {}).get('dataset', {}).get('pipeline', ())
        preprocessor = getattr(model, 'data_preprocessor', None)
        if line := pixel_differences(source, preprocessor, pipeline):
            warnings.warn(line, stacklevel=2)
    else:
        check_no_nan(model.state_dict(), source)
    return class_names(model, config, content, classes), content.get('meta') or {}


def class_names(
    model: BaseModel, config: Config, checkpoint: Mapping, given: Sequence[str] | None = None
) -> list[str]:
    """Return the given names, else those in a checkpoint, else those of the test dataset.

    If the config lists others, a warning says so. Raises ``ValueError`` if there are none, or
    others than texts (numbers will do), or not as many as the head has classes.
    """
    if given is not None and (isinstance(given, str) or not isinstance(given, Sequence)):
        raise ValueError(f'classes is a list of names, not {given!r:.100}')
    names, reason = given or classes_of(checkpoint), ''
    if names and given is None:
        _warn_of_others(names, config)
    try:
        names = names or dataset_class_names(config.test_dataloader.dataset)
    except (OSError, ValueError) as error:  # absent or damaged
        reason = f': {error}'.rstrip('.')
    if not names:
        raise ValueError(
            'no class names: the checkpoint has none in meta.dataset_meta.classes, and neither '
            f'has the test dataset{reason}. Set them in the config: '
            'test_dataloader.dataset.metainfo=dict(classes=[...])'
        )
    names = [_text(name) for name in names]
    num_classes = getattr(getattr(model, 'head', None), 'num_classes', len(names))
    if len(names) != num_classes:
        known = 'known: config and checkpoint do not belong together'
        raise ValueError(
            f'the model scores {counted(num_classes, "class")}, but '
            f'{counted(len(names), "class name is", "class names are")} '
            f'{"given as classes=" if given else known}'
        )
    return names


def _warn_of_others(names: list, config: Config) -> None:
    dataset = config.get('test_dataloader', {}).get('dataset', {})
    change = compare_classes(names, _classes_without_files(dataset))
    if change is not None and not change.is_same:
        difference = change.first_difference('the config', 'the checkpoint')
        warnings.warn(
            f'{difference}: the scores have the names of the checkpoint ({change})', stacklevel=2
        )


def dataset_class_names(dataset: dict) -> list[str]:
    """Return the class names of the config of a dataset, whose images need not be there, or [].

    Raises ``OSError`` if its annotations are not there, ``ValueError`` if they cannot be read.
    """
    names = _classes_without_files(dataset)
    if names is None:
        built = DATASETS.build(dict(dataset, lazy_init=True))
        names = built.metainfo.get('classes')
        if names is None and isinstance(built, COCOMultiLabel):
            # A full initialisation would also look for the images.
            names = read_coco_annotations(built.ann_file).category_names
        if names is None:
            built.full_init()
            names = built.metainfo.get('classes')
    return [str(name) for name in names or ()]


def _classes_without_files(dataset: Mapping) -> list | None:
    """Return the classes that a dataset's config lists, else those that its type always has."""
    kind = DATASETS.get(dataset['type']) if 'type' in dataset else None
    return written_classes(dataset) or written_classes(getattr(kind, 'METAINFO', {}))


def written_classes(dataset: Mapping) -> list | None:
    """Return the class names that the config of a dataset lists, None if it lists none."""
    for metainfo in (dataset, dataset.get('metainfo')):
        classes = metainfo.get('classes') if isinstance(metainfo, Mapping) else None
        if isinstance(classes, list | tuple) and classes:
            return list(classes)
    return None


def _text(name: object) -> str:
    """Return a name as text that can be written to a file."""
    text = str(name) if isinstance(name, str | int) else None
    try:
        text.encode()
    except (AttributeError, UnicodeEncodeError):
        raise ValueError(f'a class name must be text, but is {name!r:.100}') from None
    return text
