"""Checkpoints that are asked for by their published name."""

from typing import NoReturn

from mmengine.runner import CheckpointLoader


@CheckpointLoader.register_scheme(prefixes=['paddleclas://', 'timm://', 'miil://'], force=True)
def load_from_published(filename: str, map_location=None) -> NoReturn:
    """Say how to go on without a published checkpoint, which cannot be loaded by name yet.

    MMEngine calls this for ``init_cfg=dict(type='Pretrained', checkpoint=filename)`` and
    ``load_from=filename``.

    Args:
        filename (str): Such as ``'paddleclas://ResNet50_vd_ssld'``.
        map_location: Unused; MMEngine hands it to every loader.

    Raises:
        NotImplementedError: Always.
    """
    raise NotImplementedError(
        f'{filename} cannot be loaded: loading published weights by name is not built in yet. '
        'Train from scratch with --cfg-options model.backbone.init_cfg=None, or convert the '
        'weights to the names of this model and point init_cfg at the file: '
        '--cfg-options model.backbone.init_cfg.checkpoint=FILE.pth'
    )
