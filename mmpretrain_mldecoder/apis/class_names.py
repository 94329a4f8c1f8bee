"""The names of a model's classes."""

from mmengine.config import Config
from mmengine.model import BaseModel


def class_names(config: Config, checkpoint: dict, model: BaseModel) -> list[str]:
    """Find the names: the checkpoint's, the config's, or those of the dataset's class.

    Args:
        config (Config): With a ``test_dataloader``.
        checkpoint (dict): As loaded; training stores the names in ``meta.dataset_meta.classes``.
        model (BaseModel): Of ``mmpretrain.get_model``, which puts the dataset's names in it.

    Raises:
        ValueError: If there are none.
    """
    dataset = config.test_dataloader.dataset
    for metainfo in (
        checkpoint.get('meta', {}).get('dataset_meta') or {},
        dict(classes=dataset.get('classes')),
        dataset.get('metainfo') or {},
        model._dataset_meta,  # filled by the host from the dataset's class
    ):
        classes = metainfo.get('classes')
        # A config may also name a file of names; only names themselves serve here.
        if isinstance(classes, (list, tuple)) and classes:
            return list(classes)
    raise ValueError(
        'no class names: the checkpoint has none in meta.dataset_meta.classes, and neither '
        'has the test dataset. Set them in the config: '
        'test_dataloader.dataset.metainfo=dict(classes=[...])'
    )
