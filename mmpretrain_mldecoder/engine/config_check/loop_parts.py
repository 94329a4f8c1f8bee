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

    The training must also be told once what it counts.

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
    train_cfg = cfg.get('train_cfg') or {}
    if 'by_epoch' in train_cfg and 'type' in train_cfg:
        raise ConfigMistake(
            f'train_cfg has type = {train_cfg["type"]!r} and by_epoch = {train_cfg["by_epoch"]!r}: '
            'give by_epoch without type, or a loop of your own without by_epoch'
        )
    if not isinstance(train_cfg.get('by_epoch', True), bool):
        raise ConfigMistake(
            f'train_cfg.by_epoch = {train_cfg["by_epoch"]!r}: it must be True (max_epochs) or '
            'False (max_iters)'
        )
