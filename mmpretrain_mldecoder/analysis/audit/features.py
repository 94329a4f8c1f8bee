"""Features of images by the backbone of a config, as its training starts."""

import logging
from collections.abc import Callable, Sequence

import numpy as np
import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import MMLogger
from mmengine.model import BaseModel
from mmpretrain.registry import MODELS
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ...apis.inference.image_inputs import ImagePipeline
from ...apis.inference.network_runner import fold_batch_norm
from ...errors import RunError, UnreadableImageError
from ...fileio.terminal import progress_bar

BATCH_SIZE = 32


def mean_of_cells(feats: Tensor) -> Tensor:
    """Return the means ``(B, D)`` of maps ``(B, D, H, W)`` or tokens ``(B, L, D)``."""
    return feats.mean((2, 3) if feats.dim() == 4 else 1).float()


def backbone_features(
    cfg: Config, paths: Sequence[str], reduce: Callable[[Tensor], Tensor] = mean_of_cells
) -> tuple[np.ndarray, dict[int, str]]:
    """Compute features of images from the last feature map of the backbone.

    The weights are those of ``init_cfg``, mostly of ImageNet; those of a trained checkpoint have
    seen the labels that are to be judged.

    Args:
        cfg (Config): Its model, and the pipeline of its test.
        paths (Sequence[str]): N images.
        reduce (Callable): From feature maps of a batch to what is kept. Defaults to the mean.

    Returns:
        tuple: Features ``(N, ...)``, and the reasons of the images that cannot be read, by
        index, whose features are 0.

    Raises:
        RunError: If the backbone has no ``init_cfg``, or no image can be read.
    """
    if not cfg.model.backbone.get('init_cfg'):
        raise RunError('the backbone of the config has no init_cfg: its features would be random')
    device = get_device()
    model = _initialised(cfg)
    fold_batch_norm(model.eval().backbone)
    model.to(device, memory_format=torch.channels_last)
    loader = DataLoader(
        _Images(ImagePipeline(cfg.test_dataloader.dataset.pipeline), paths),
        BATCH_SIZE,
        num_workers=cfg.test_dataloader.get('num_workers', 0),
        collate_fn=list,
    )
    features = None
    unreadable = {}
    with progress_bar() as bar, torch.inference_mode():
        for batch in bar.track(loader, description='features'):
            unreadable |= {i: reason for i, reason in batch if isinstance(reason, str)}
            read = {i: pixels for i, pixels in batch if i not in unreadable}
            if not read:
                continue
            data = model.data_preprocessor(dict(inputs=torch.stack([*read.values()])))
            feats = model.extract_feat(data['inputs'], stage='backbone')[-1]
            kept = reduce(feats).cpu().numpy()
            if features is None:
                features = np.zeros((len(paths), *kept.shape[1:]), kept.dtype)
            features[[*read]] = kept
    if features is None:
        raise RunError(f'none of {len(paths)} images can be read: {unreadable.get(0)}')
    return features, unreadable


def _initialised(cfg: Config) -> BaseModel:
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.WARNING)  # it logs each parameter
    try:
        model = MODELS.build({**cfg.model, 'data_preprocessor': cfg.get('data_preprocessor')})
        model.init_weights()
    finally:
        logger.setLevel(level)
    return model


class _Images(Dataset):
    """Index and pixels of each image, or the reason why it cannot be read."""

    def __init__(self, pipeline: ImagePipeline, paths: Sequence[str]):
        self.pipeline, self.paths = pipeline, paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[int, Tensor | str]:
        try:
            return index, self.pipeline(self.paths[index])['inputs']
        except UnreadableImageError as error:
            return index, error.reason
