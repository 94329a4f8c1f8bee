"""The names of the classes that a config tests."""

from mmengine.config import Config

from ..apis.inference.class_names import dataset_class_names


def read_class_names(cfg: Config, num_classes: int) -> tuple[list[str], str | None]:
    """Ask the config's test dataset for its classes; its pictures need not be there.

    Args:
        cfg (Config): With ``test_dataloader``.
        num_classes (int): How many the predictions have.

    Returns:
        tuple[list[str], str | None]: The names, and None; or, where the annotations are not there
        to be read, numbers as names, and why.

    Raises:
        ValueError: If the config has no test dataset, or another number of classes.
    """
    if cfg.get('test_dataloader') is None:
        raise ValueError(f'{cfg.filename} has no test_dataloader: it has no classes to report on')
    try:
        names = dataset_class_names(cfg.test_dataloader.dataset)
    except OSError as error:
        return [f'class {i}' for i in range(num_classes)], f'The classes have no names: {error}'
    if len(names) != num_classes:
        raise ValueError(
            f'{cfg.filename} tests {len(names)} classes, but the predictions have {num_classes}: '
            'they are of another config'
        )
    return names, None
