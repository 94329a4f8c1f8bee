"""Predict the labels of pictures with a trained multi-label model."""

import os
from math import ceil

import numpy as np
import torch
from mmcv.transforms import BaseTransform, LoadImageFromFile
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.runner import load_checkpoint
from mmpretrain.apis import BaseInferencer
from mmpretrain.registry import TRANSFORMS
from mmpretrain.structures import DataSample
from PIL import Image, ImageOps
from rich.console import Console
from rich.progress import track

from .image_inputs import ImageInputs, SingleImage, expand_inputs


class MultiLabelInferencer(BaseInferencer):
    """Give every label of a picture whose score reaches a threshold.

    A picture goes through the config's test pipeline, always, so that it gets the scores that
    ``tools/test.py`` gives it. Scores are the head's ``pred_score``: of a multi-label head the
    sigmoid of each logit, one probability a class, which do not sum to 1.

    The class names are those that training stored in the checkpoint
    (``meta.dataset_meta.classes``), else the test dataset's.

    Args:
        model (str | PathLike | Config): Config file, or a loaded config, of the model. It is not
            changed.
        pretrained (str | PathLike, optional): Checkpoint; its ``state_dict`` must fit the model
            exactly. Where training kept an average of the weights, that is what it holds.
            Defaults to None, which means the config's ``load_from``.
        device (str | torch.device, optional): Defaults to None, which means what
            ``tools/test.py`` would choose: the accelerator if there is one, else the CPU.
        batch_size (int): Pictures a forward pass. Defaults to 32.

    Raises:
        ValueError: If there is no checkpoint, if no class names are found, or if
            ``batch_size`` is below 1.
        RuntimeError: If the checkpoint belongs to another model.

    Example:
        >>> inferencer = MultiLabelInferencer('config.py', 'checkpoint.pth')
        >>> inferencer('photos/', thr=0.5, topk=3)
        [{'path': 'photos/1.jpg', 'labels': ['dog', 'ball'], 'scores': [0.98, 0.71]}]
    """

    def __init__(
        self,
        model: str | os.PathLike | Config,
        pretrained: str | os.PathLike | None = None,
        device: str | torch.device | None = None,
        batch_size: int = 32,
    ):
        if batch_size < 1:
            raise ValueError(f'batch_size must be at least 1, but got {batch_size}')
        config = model if isinstance(model, Config) else Config.fromfile(model)
        pretrained = pretrained or config.get('load_from')
        if not pretrained:
            raise ValueError(
                'no checkpoint: the scores of an untrained model mean nothing. Name one with '
                'pretrained=..., or set load_from in the config'
            )
        super().__init__(config, pretrained=None, device=device or get_device())
        # Strict, where the host's test tool only warns: here nobody looks at a log or a mAP that
        # would give a wrong checkpoint away.
        checkpoint = load_checkpoint(
            self.model, os.fspath(pretrained), map_location='cpu', strict=True, logger='silent'
        )
        self.classes = self._class_names(checkpoint)
        self.batch_size = batch_size

    def __call__(
        self, inputs: ImageInputs, thr: float = 0.5, topk: int | None = None
    ) -> list[dict]:
        """Predict the labels of one or many pictures.

        Args:
            inputs: A file, a folder (recursive), a glob, a BGR ``uint8`` array ``(H, W, 3)``, a
                PIL image, or a list of these; see :func:`expand_inputs`.
            thr (float): Labels with ``score >= thr`` are given, in ``[0, 1]``. Defaults to 0.5.
            topk (int, optional): At most that many labels, the best, of those that reach
                ``thr``; ``thr=0`` gives exactly so many. Defaults to None, all of them.

        Returns:
            list[dict]: One a picture, in the order of the inputs: ``path`` (or ``index``, the
            position among the inputs, for what has no path), ``labels`` (list of names) and
            ``scores`` (list of floats in ``[0, 1]``), best first, ties by class.

        Raises:
            FileNotFoundError: If there is no such picture, or none in a folder or glob.
            ValueError: If a picture cannot be read, or ``thr`` or ``topk`` is out of range.
        """
        if not 0 <= thr <= 1:
            raise ValueError(f'thr must be in [0, 1], but got {thr}')
        if topk is not None and topk < 1:
            raise ValueError(f'topk must be at least 1, but got {topk}')
        images = expand_inputs(inputs)
        batches = track(
            self.preprocess(images, self.batch_size),
            description='predicting',
            total=ceil(len(images) / self.batch_size),
            console=Console(stderr=True),
            transient=True,
            disable=len(images) <= self.batch_size,
        )
        samples = (sample for batch in batches for sample in self.forward(batch))
        return [
            (dict(path=image) if isinstance(image, str) else dict(index=index))
            | self.postprocess(sample, thr, topk)
            for index, (image, sample) in enumerate(zip(images, samples, strict=True))
        ]

    def postprocess(self, sample: DataSample, thr: float, topk: int | None) -> dict:
        """Turn one data sample into ``labels`` and ``scores``, best first."""
        scores = sample.pred_score.float().cpu()
        if len(scores) != len(self.classes):
            raise ValueError(
                f'the model scores {len(scores)} classes, but {len(self.classes)} class names '
                'are known: config and checkpoint do not belong together'
            )
        order = scores.argsort(descending=True, stable=True)
        order = order[scores[order] >= thr][:topk]
        return dict(labels=[self.classes[i] for i in order], scores=scores[order].tolist())

    def _init_pipeline(self, cfg: Config) -> '_Pipeline':
        """Build the test pipeline; called by the base class."""
        return _Pipeline([TRANSFORMS.build(t) for t in cfg.test_dataloader.dataset.pipeline])

    def _class_names(self, checkpoint: dict) -> list[str]:
        """Find the names of the classes: the checkpoint's, the config's, the dataset's own."""
        dataset = self.config.test_dataloader.dataset
        for metainfo in (
            checkpoint.get('meta', {}).get('dataset_meta') or {},
            dict(classes=dataset.get('classes')),
            dataset.get('metainfo') or {},
            self.model._dataset_meta,  # filled by the host from the dataset's class
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


class _Pipeline:
    """The test pipeline, for paths and for pictures that are in memory already."""

    def __init__(self, transforms: list[BaseTransform]):
        self.loaders = [t for t in transforms if isinstance(t, LoadImageFromFile)]
        self.transforms = [t for t in transforms if not isinstance(t, LoadImageFromFile)]

    def __call__(self, image: SingleImage) -> dict:
        results = self._read(image) if isinstance(image, str) else self._wrap(image)
        for transform in self.transforms:
            results = transform(results)
        return results

    def _read(self, path: str) -> dict:
        """Read a file by the config's own loading transform."""
        results = dict(img_path=path)
        for loader in self.loaders:
            try:
                results = loader(results)
            except Exception as error:  # each decoder has its own; the path is missing in all
                raise ValueError(f'cannot read image {path}: {error}') from error
            if results is None:  # a loader with ignore_empty
                raise ValueError(f'cannot read image {path}')
        return results

    def _wrap(self, image: np.ndarray | Image.Image) -> dict:
        """Give a picture in memory the keys that a loaded file has."""
        if isinstance(image, Image.Image):
            # Upright as the file loader turns it, and in its channel order.
            image = np.asarray(ImageOps.exif_transpose(image).convert('RGB'))[..., ::-1]
        image = np.ascontiguousarray(image)
        if any(loader.to_float32 for loader in self.loaders):
            image = image.astype(np.float32)
        return dict(img=image, img_shape=image.shape[:2], ori_shape=image.shape[:2])
