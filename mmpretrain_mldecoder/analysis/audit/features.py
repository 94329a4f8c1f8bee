"""Features of images by the backbone of a config, as its training starts."""

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

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
from ...fileio.atomic_write import atomic_write
from ...fileio.terminal import progress_bar, quiet

BATCH_SIZE = 32
BLOCK = 512  # images whose features are in one file


def mean_of_cells(feats: Tensor) -> Tensor:
    """Return the means ``(B, D)`` of maps ``(B, D, H, W)`` or tokens ``(B, L, D)``."""
    return feats.mean((2, 3) if feats.dim() == 4 else 1).float()


def backbone_features(
    cfg: Config, paths: Sequence[str], reduce: Callable[[Tensor], Tensor] = mean_of_cells
) -> tuple[np.ndarray, dict[int, str]]:
    """Compute features of images from the last feature map of the backbone.

    The weights are those of ``init_cfg``, mostly of ImageNet; those of a trained checkpoint have
    seen the labels that are to be judged. ``reduce`` makes of the feature maps of a batch what is
    kept.

    Returns features ``(N, ...)``, and the reasons of the images that cannot be read, by index,
    whose features are 0. Raises ``RunError`` if the backbone has no ``init_cfg``, or no image can
    be read.
    """
    backbone = _Backbone(cfg)
    with progress_bar() as bar:
        task = bar.add_task('features', total=len(paths))
        features, unreadable = backbone.features(
            paths, reduce, lambda count: bar.advance(task, count)
        )
    if features is None:
        raise RunError(f'none of {len(paths)} images can be read: {unreadable.get(0)}')
    return features, unreadable


def kept_features(
    cfg: Config, paths: Sequence[str], folder: Path
) -> tuple[np.ndarray, dict[int, str]]:
    """Compute what :func:`backbone_features` does, and continue where a call was interrupted.

    The ``folder`` keeps the means of the maps, a file for ``BLOCK`` images. One of other weights,
    pixels or images (path, size, time) is computed again, and removed.
    """
    backbone = _Backbone(cfg)
    blocks = [paths[start : start + BLOCK] for start in range(0, len(paths), BLOCK)]
    files = [folder / f'{backbone.digest(block)}.npz' for block in blocks]
    todo = {file: block for file, block in zip(files, blocks, strict=True) if not file.is_file()}
    with progress_bar() as bar:
        task = bar.add_task('features', total=sum(map(len, todo.values())))
        for file, block in todo.items():
            found, unreadable = backbone.features(
                block, mean_of_cells, lambda count: bar.advance(task, count)
            )
            found = np.zeros((len(block), 0), np.float32) if found is None else found
            with atomic_write(file) as path, path.open('wb') as out:
                np.savez(out, means=found, at=[*unreadable], reasons=[*unreadable.values()])
    for file in {*folder.glob('*.npz')} - {*files}:
        file.unlink()

    means, unreadable = [], {}
    for start, file in zip(range(0, len(paths), BLOCK), files, strict=True):
        with np.load(file, allow_pickle=False) as content:
            means.append(content['means'])
            at = (start + content['at'].astype(int)).tolist()
            unreadable |= zip(at, content['reasons'].tolist(), strict=True)
    if len(unreadable) == len(paths):
        raise RunError(f'none of {len(paths)} images can be read: {unreadable.get(0)}')
    width = max(each.shape[1] for each in means)  # 0 where no image of a block can be read
    means = [each if each.size else np.zeros((len(each), width), np.float32) for each in means]
    return np.concatenate(means), unreadable


class _Backbone:
    """The backbone of a config as its training starts."""

    def __init__(self, cfg: Config):
        if not cfg.model.backbone.get('init_cfg'):
            raise RunError(
                'the backbone of the config has no init_cfg: its features would be random'
            )
        data = cfg.test_dataloader
        self.pipeline = ImagePipeline(data.dataset.pipeline)
        self.workers = data.get('num_workers', 0)
        self.model = _initialised(cfg).eval()
        parts = cfg.model.backbone, cfg.get('data_preprocessor'), data.dataset.pipeline
        self.made_by = hashlib.sha256(repr(parts).encode())
        for name, values in self.model.backbone.state_dict().items():
            self.made_by.update(name.encode() + values.numpy().tobytes())
        fold_batch_norm(self.model.backbone)
        self.model.to(get_device(), memory_format=torch.channels_last)

    def digest(self, paths: Sequence[str]) -> str:
        """Return a name for the features of images, by all that they depend on."""
        digest = self.made_by.copy()
        for path in paths:
            stat = os.stat(path) if os.path.exists(path) else None
            facts = (path, stat.st_size, stat.st_mtime_ns) if stat else path
            digest.update(repr(facts).encode(errors='surrogatepass'))
        return digest.hexdigest()[:32]

    @torch.inference_mode()
    def features(
        self,
        paths: Sequence[str],
        reduce: Callable[[Tensor], Tensor],
        advance: Callable[[int], None],
    ) -> tuple[np.ndarray | None, dict[int, str]]:
        """Return what :func:`backbone_features` does, or None for features if there are none."""
        features = None
        unreadable = {}
        images = _Images(self.pipeline, paths)
        for batch in DataLoader(images, BATCH_SIZE, num_workers=self.workers, collate_fn=list):
            advance(len(batch))
            unreadable |= {i: reason for i, reason in batch if isinstance(reason, str)}
            read = {i: pixels for i, pixels in batch if i not in unreadable}
            if not read:
                continue
            data = self.model.data_preprocessor(dict(inputs=torch.stack([*read.values()])))
            feats = self.model.extract_feat(data['inputs'], stage='backbone')[-1]
            kept = reduce(feats).cpu().numpy()
            if features is None:
                features = np.zeros((len(paths), *kept.shape[1:]), kept.dtype)
            features[[*read]] = kept
        return features, unreadable


def _initialised(cfg: Config) -> BaseModel:
    with quiet(MMLogger.get_current_instance()):  # which gets a line for each parameter
        model = MODELS.build({**cfg.model, 'data_preprocessor': cfg.get('data_preprocessor')})
        model.init_weights()
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
