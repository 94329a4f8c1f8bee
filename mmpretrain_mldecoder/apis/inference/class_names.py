"""The names of a model's classes."""

from mmengine.config import Config
from mmengine.model import BaseModel
from mmpretrain.registry import DATASETS

from ...datasets import COCOMultiLabel
from ...datasets.coco_annotations import read_coco_annotations


def class_names(config: Config, checkpoint: dict, model: BaseModel) -> list[str]:
    """Find the names: the checkpoint's, the config's, those of the dataset's class or annotations.

    Args:
        config (Config): With a ``test_dataloader``.
        checkpoint (dict): As loaded; training stores the names in ``meta.dataset_meta.classes``.
        model (BaseModel): Of ``mmpretrain.get_model``, which puts the dataset's names in it.

    Raises:
        ValueError: If there are none, or others than texts (numbers will do), or not as many as the
            head has classes.
    """
    names = [_text(name) for name in _find_names(config, checkpoint, model)]
    num_classes = getattr(getattr(model, 'head', None), 'num_classes', len(names))
    if len(names) != num_classes:
        raise ValueError(
            f'the model scores {num_classes} classes, but {len(names)} class names are known: '
            'config and checkpoint do not belong together'
        )
    return names


def _find_names(config: Config, checkpoint: dict, model: BaseModel) -> list:
    dataset = config.test_dataloader.dataset
    for metainfo in (
        (checkpoint.get('meta') or {}).get('dataset_meta') or {},
        dict(classes=dataset.get('classes')),
        dataset.get('metainfo') or {},
        model._dataset_meta,  # filled by the host from the dataset's class
    ):
        classes = metainfo.get('classes')
        # A config may also name a file of names; only names themselves serve here.
        if isinstance(classes, (list, tuple)) and classes:
            return list(classes)
    try:
        classes = dataset_class_names(dataset)
    except (OSError, ValueError) as error:  # not there, or damaged
        reason = f': {error}'
    else:
        if classes:
            return classes
        reason = ''
    raise ValueError(
        'no class names: the checkpoint has none in meta.dataset_meta.classes, and neither '
        f'has the test dataset{reason}. Set them in the config: '
        'test_dataloader.dataset.metainfo=dict(classes=[...])'
    )


def _text(name: object) -> str:
    """Return a name as text that can be written to a file."""
    text = str(name) if isinstance(name, str | int) else None
    try:
        text.encode()
    except (AttributeError, UnicodeEncodeError):
        raise ValueError(f'a class has a name that is no text: {name!r:.100}') from None
    return text


def dataset_class_names(dataset: dict) -> list[str]:
    """Ask a dataset for its classes; its images need not be there.

    Args:
        dataset (dict): Its config.

    Returns:
        list[str]: Empty if it has none.

    Raises:
        OSError: If its annotations are not there.
        ValueError: If they cannot be read.
    """
    built = DATASETS.build(dict(dataset, lazy_init=True))
    names = built.metainfo.get('classes')
    if names is None and isinstance(built, COCOMultiLabel):
        # A full initialisation would also look for the images.
        names = read_coco_annotations(built.ann_file).category_names
    if names is None:
        built.full_init()
        names = built.metainfo.get('classes')
    return [str(name) for name in names or ()]
