"""Are the parts of each loop given together?"""

from collections.abc import Mapping

from .config_mistake import ConfigMistake

_PARTS = dict(
    train=('train_dataloader', 'train_cfg', 'optim_wrapper'),
    val=('val_dataloader', 'val_cfg', 'val_evaluator'),
    test=('test_dataloader', 'test_cfg', 'test_evaluator'),
)


def check_loop_parts(cfg: Mapping) -> None:
    """Raise if a config has some of the keys of a training, validation or test, but not all.

    Raises:
        ConfigMistake: It names those that are there and those that are not.
    """
    for parts in _PARTS.values():
        absent = [key for key in parts if cfg.get(key) is None]
        if absent and len(absent) < len(parts):
            given = [key for key in parts if key not in absent]
            raise ConfigMistake(
                f'{" and ".join(absent)} is missing or None, but the config has '
                f'{" and ".join(given)}: give all of {", ".join(parts)}, or set all to None'
            )
