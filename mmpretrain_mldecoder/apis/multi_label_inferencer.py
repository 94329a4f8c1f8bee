"""Predict the labels of pictures with a trained multi-label model."""

import os
import time
import warnings
from math import ceil
from typing import Literal

import numpy as np
import torch
from mmcv.transforms import BaseTransform, LoadImageFromFile
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.runner import load_checkpoint
from mmpretrain.apis import BaseInferencer
from mmpretrain.models import ImageClassifier
from mmpretrain.registry import TRANSFORMS
from mmpretrain.structures import DataSample
from PIL import Image, ImageOps
from rich.console import Console
from rich.progress import track

from .fold_batch_norm import fold_batch_norm
from .image_inputs import ImageInputs, SingleImage, expand_inputs
from .onnx_model import OnnxModel, missing_onnx_packages

SECONDS_WORTH_AN_EXPORT = 60
"""From how much work on, in torch's time, an export to ONNX is sure to pay for itself.

It takes 5 to 10 s, and saves a fifth of torch's time or more.
"""


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
        backend (str, optional): What runs the network. The scores are those of
            ``tools/test.py`` but for rounding (1e-6 for a trained network on real photos).

            - ``'torch'``: torch, with the batch norms folded into the convolutions, and on the CPU
              with the weights in channels-last order.
            - ``'onnx'``: ONNX Runtime on the CPU, faster once it runs. The model is exported when
              the first batch comes, which takes seconds. Pictures of another size than the first
              go through torch.
            - None (default): torch; on the CPU, where the packages for ONNX are installed, a call
              goes over to ONNX Runtime when its first batch shows that a minute of work is left.
              The calls after it stay there. Where that is impossible, a warning says why.

    Raises:
        ValueError: If there is no checkpoint, if no class names are found, if ``batch_size`` is
            below 1, or ``backend`` is unknown, or ``'onnx'`` on another device than the CPU.
        RuntimeError: If the checkpoint belongs to another model; when called, if the backend is
            ``'onnx'`` and the model cannot be exported.
        ModuleNotFoundError: If the backend is ``'onnx'`` and its packages are not installed.

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
        backend: Literal['torch', 'onnx'] | None = None,
    ):
        if batch_size < 1:
            raise ValueError(f'batch_size must be at least 1, but got {batch_size}')
        device = torch.device(device or ('cpu' if backend == 'onnx' else get_device()))
        _check_backend(backend, device)
        config = model if isinstance(model, Config) else Config.fromfile(model)
        pretrained = pretrained or config.get('load_from')
        if not pretrained:
            raise ValueError(
                'no checkpoint: the scores of an untrained model mean nothing. Name one with '
                'pretrained=..., or set load_from in the config'
            )
        super().__init__(config, pretrained=None, device=device)
        # Strict, where the host's test tool only warns: here nobody looks at a log or a mAP that
        # would give a wrong checkpoint away.
        checkpoint = load_checkpoint(
            self.model, os.fspath(pretrained), map_location='cpu', strict=True, logger='silent'
        )
        self.classes = self._class_names(checkpoint)
        self.batch_size = batch_size
        self.backend = backend
        self._onnx: OnnxModel | None = None
        self._may_export = backend != 'torch' and device.type == 'cpu'
        if isinstance(self.model, ImageClassifier):
            fold_batch_norm(self.model.backbone)
        if device.type == 'cpu':
            self.model.to(memory_format=torch.channels_last)

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
        samples = []
        for batch in batches:
            start = time.perf_counter()
            predicted = self.forward(batch)
            seconds = (time.perf_counter() - start) / len(predicted)  # a picture
            samples += predicted
            seconds_left = seconds * (len(images) - len(samples))
            if self._may_export and seconds_left >= SECONDS_WORTH_AN_EXPORT:
                self._try_export(batch)
        return [
            (dict(path=image) if isinstance(image, str) else dict(index=index))
            | self.postprocess(sample, thr, topk)
            for index, (image, sample) in enumerate(zip(images, samples, strict=True))
        ]

    def forward(self, inputs: dict) -> list[DataSample]:
        """Predict one batch that the pipeline made; see the host's class."""
        if self._may_export and self.backend == 'onnx':
            self._export(inputs)
        if self._onnx is None or not self._onnx.takes(inputs['inputs']):
            return super().forward(inputs)
        # What the host's heads do with the output of their forward.
        return self.model.head._get_predictions(
            self._onnx(inputs['inputs']), inputs['data_samples']
        )

    def _export(self, batch: dict) -> None:
        """Go over to ONNX Runtime."""
        if not isinstance(self.model, ImageClassifier):
            raise RuntimeError(
                f'a {type(self.model).__name__} cannot be exported to ONNX, only an ImageClassifier'
            )
        self._onnx = OnnxModel(self.model, batch['inputs'])
        self._may_export = False

    def _try_export(self, batch: dict) -> None:
        """Go over to ONNX Runtime, or stay with torch and say why."""
        if not missing_onnx_packages():
            try:
                self._export(batch)
            except RuntimeError as error:
                warnings.warn(f'predicting with torch: {error}', stacklevel=3)
        self._may_export = False

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


def _check_backend(backend: str | None, device: torch.device) -> None:
    if backend not in (None, 'torch', 'onnx'):
        raise ValueError(f"backend must be 'torch', 'onnx' or None, but got {backend!r}")
    if backend != 'onnx':
        return
    if device.type != 'cpu':
        raise ValueError(f"backend 'onnx' predicts on the CPU, but device is {device}")
    if missing := missing_onnx_packages():
        raise ModuleNotFoundError(
            f"backend 'onnx' needs {', '.join(missing)}: pip install 'mmpretrain_mldecoder[onnx]'"
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
