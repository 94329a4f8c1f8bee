"""Prediction of the labels of images with a trained multi-label model."""

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import default_collate
from mmengine.device import get_device
from mmpretrain.apis import BaseInferencer
from mmpretrain.structures import DataSample
from torch import Tensor

from ...engine.checks.config_error import explained, read_config
from ...errors import ConfigError, UnreadableImageError
from ...fileio.terminal import one_line, progress_bar
from ..thresholds.stored_thresholds import stored_thresholds
from ..trained_model import load_trained
from .image_inputs import ImageInputs, ImagePipeline, SingleImage, expand_inputs
from .network_runner import NetworkRunner, check_backend
from .stored_config import stored_config

Threshold = float | Literal['tuned']
OnUnreadable = Callable[[str, str], None]

# What layers raise, and asserts of the host's, where a config gives them nonsense.
_NONSENSE = (ArithmeticError, AssertionError, AttributeError, ConfigError, LookupError)
_NONSENSE += (NotImplementedError, TypeError)


class MultiLabelInferencer(BaseInferencer):
    """Predict the labels of an image whose scores reach a threshold.

    The scores are those of ``tools/test.py``: images go through the config's test pipeline, and a
    multi-label head, ours or the host's, gives the sigmoid of each logit, a single-label head the
    softmax. The class names are those in the checkpoint, else the test dataset's.

    Args:
        model (str | PathLike | Config): Config of the model. It is not changed.
        pretrained (str | PathLike, optional): Checkpoint; its ``state_dict``, the average of the
            weights where training kept one, must fit the model exactly. Defaults to the config's
            ``load_from``.
        device (str | torch.device, optional): Defaults to the accelerator if there is one, else
            the CPU.
        batch_size (int): Images per forward pass. Defaults to 32. Images that the pipeline leaves
            at different sizes go through the network size by size.
        backend (str, optional): What runs the network; the scores agree but for rounding (1e-6 for
            a trained network on real photos).

            - ``'torch'``: torch, with the batch norms folded into the convolutions, and on the CPU
              with the weights in channels-last order.
            - ``'onnx'``: ONNX Runtime on the CPU, faster once it runs. The model is exported for
              the first batch, which takes seconds. Images of other sizes go through torch.
            - None (default): torch; on the CPU, where the packages for ONNX are installed, ONNX
              Runtime from the second batch on, if the first one shows that a minute of work is
              left, and in later calls. If that is impossible, a warning says why.

    Raises:
        ValueError: If there is no checkpoint or it is damaged or has NaN in its weights, if no
            class names are found, or an argument is out of range or not available here.
        WeightsMismatchError: If the checkpoint belongs to another model.
        RunError: When called, if the backend is ``'onnx'`` and the model cannot be exported.
        ModuleNotFoundError: If the backend is ``'onnx'`` and its packages are not installed.

    Example:
        >>> inferencer = MultiLabelInferencer('config.py', 'checkpoint.pth')
        >>> inferencer('images/', thr=0.5, topk=3)
        [{'path': 'images/1.jpg', 'labels': ['dog', 'ball'], 'scores': [0.98, 0.71]}]
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
        device = device or ('cpu' if backend == 'onnx' else get_device())
        check_backend(backend, device)
        try:
            torch.empty(0, device=device)
        except (AssertionError, RuntimeError) as error:
            reason = one_line(error)
            raise ValueError(f'device is {device}, which torch cannot use: {reason}') from error
        config = read_config(model)
        if config.get('test_dataloader') is None:
            raise ValueError('the config has no test_dataloader, whose pipeline is needed')
        self.checkpoint = pretrained or config.get('load_from')
        if not self.checkpoint:
            fix = 'Name one with pretrained=..., or set load_from in the config'
            raise ValueError(f'no checkpoint: the scores of an untrained model mean nothing. {fix}')
        with explained(config, 'model', 'data_preprocessor', 'test_dataloader'):
            super().__init__(config, pretrained=None, device=device)
        self.classes, self._meta = load_trained(self.model, self.config, self.checkpoint)
        self.batch_size = batch_size
        self._network = NetworkRunner(self.model, backend)

    @classmethod
    def from_checkpoint(
        cls,
        checkpoint: str | os.PathLike,
        device: str | torch.device | None = None,
        batch_size: int = 32,
        backend: Literal['torch', 'onnx'] | None = None,
    ) -> 'MultiLabelInferencer':
        """Build an inferencer from a checkpoint alone, without running anybody's config.

        The config in the checkpoint is parsed as data, see :func:`.stored_config`. The arguments
        are those of the class.

        Raises:
            ValueError: Also if the checkpoint has no config, or one that asks for more than models
                and transforms that MMPretrain or this package register.
        """
        config = stored_config(checkpoint)
        try:
            return cls(config, checkpoint, device, batch_size, backend)
        except _NONSENSE as error:
            reason = one_line(error)
            raise ValueError(f'the config in {checkpoint} builds no model: {reason}') from error

    def __call__(
        self,
        inputs: ImageInputs,
        thr: Threshold = 0.5,
        topk: int | None = None,
        return_attention: bool = False,
    ) -> list[dict]:
        """Predict the labels of one or many images.

        Args:
            inputs: A file, a folder (recursive), a glob, a list file (``.txt``), a ``uint8`` array
                (BGR, BGRA or grey), a PIL image, or a list of these; see :func:`expand_inputs`.
            thr (float | str): Lowest score of a label, in ``[0, 1]``, or ``'tuned'`` for the
                threshold per class that the checkpoint carries. Defaults to 0.5.
            topk (int, optional): At most that many labels, the best; with ``thr=0`` exactly so
                many. Defaults to None: all that reach ``thr``.
            return_attention (bool): Whether to return the attention maps of each label; the
                network is then run by torch. Defaults to False.

        Returns:
            list[dict]: One per image, in the order of the inputs: ``path`` (or ``index``, the
            position among the inputs, for what has no path), ``labels`` (names) and ``scores``
            (floats in ``[0, 1]``), best first, ties by class. With ``return_attention`` also

            - ``attention``: float32 ``(n, heads, H, W)`` for ``n`` labels; each map sums to 1;
            - ``shares_query_with``: per label, the other classes of the same query and map;
            - ``seen``: BGR ``uint8`` ``(h, w, 3)``, what the maps lie over: the image as the
              network saw it, in the photo's aspect where the pipeline only squashed it.

        Raises:
            FileNotFoundError: If there is no such image, or none in a folder or glob.
            ValueError: If an image cannot be read, ``thr`` or ``topk`` is out of range, the
                checkpoint has no thresholds, or the head has no attention.
        """
        self.check(thr, topk, return_attention)
        images = expand_inputs(inputs)
        results = self.stream_expanded(images, thr, topk, return_attention)
        with progress_bar(disable=len(images) <= self.batch_size) as bar:
            return list(bar.track(results, len(images), description='predicting'))

    def stream(
        self,
        inputs: ImageInputs,
        thr: Threshold = 0.5,
        topk: int | None = None,
        return_attention: bool = False,
        on_unreadable: OnUnreadable | None = None,
    ) -> Iterator[dict]:
        """Yield what a call returns, with no more than one batch in memory.

        Wrong arguments raise at once. ``on_unreadable`` is called with path and reason of a file
        that cannot be read, which is skipped; if it is None, the file raises at its turn.
        """
        self.check(thr, topk, return_attention)
        images = expand_inputs(inputs)
        return self.stream_expanded(images, thr, topk, return_attention, on_unreadable)

    def stream_expanded(
        self,
        images: Sequence[SingleImage],
        thr: Threshold = 0.5,
        topk: int | None = None,
        return_attention: bool = False,
        on_unreadable: OnUnreadable | None = None,
    ) -> Iterator[dict]:
        """Do as :meth:`stream` with what :func:`expand_inputs` listed; no argument is checked."""
        thresholds = self.thresholds(thr)
        for start in range(0, len(images), self.batch_size):
            end = min(start + self.batch_size, len(images))
            packed = {}
            for index in range(start, end):
                try:
                    packed[index] = self.pipeline(images[index])
                except UnreadableImageError as error:
                    if on_unreadable is None:
                        raise
                    on_unreadable(error.path, error.reason)
            left = len(images) - end
            predicted = self._predict(packed, thresholds, topk, return_attention, left)
            for index in packed:
                image = images[index]
                name = dict(path=image) if isinstance(image, str) else dict(index=index)
                yield name | predicted.pop(index)

    def check(self, thr: Threshold, topk: int | None, return_attention: bool) -> None:
        """Raise a ``ValueError`` if images cannot be predicted with these arguments."""
        self.thresholds(thr)
        if topk is not None and topk < 1:
            raise ValueError(f'topk must be at least 1, but got {topk}')
        head = getattr(self.model, 'head', None)
        if return_attention and not hasattr(head, 'attention_maps'):
            heads = 'only MLDecoderHead and MLDecoderClsHead have attention maps'
            raise ValueError(f'a {type(head).__name__} has no attention: {heads}')

    def thresholds(self, thr: Threshold) -> np.ndarray:
        """Return the threshold of each class, ``(C,)`` float64.

        Raises:
            ValueError: If ``thr`` is out of range, or the checkpoint has no thresholds.
        """
        if thr == 'tuned':
            return stored_thresholds(self._meta, self.classes)
        if isinstance(thr, str) or not 0 <= thr <= 1:
            raise ValueError(f"thr must be in [0, 1] or 'tuned', but got {thr!r}")
        return np.full(len(self.classes), thr, np.float64)

    def forward(self, inputs: dict) -> list[DataSample]:
        return self._network(inputs)

    def _predict(
        self,
        packed: dict[int, dict],
        thresholds: np.ndarray,
        topk: int | None,
        return_attention: bool,
        num_left: int,
    ) -> dict[int, dict]:
        """Predict packed images, those of one size together."""
        sizes: dict[torch.Size, list[int]] = {}
        for index, image in packed.items():
            sizes.setdefault(image['inputs'].shape, []).append(index)
        predicted = {}
        for indices in sizes.values():
            batch = default_collate([packed[index] for index in indices])
            if return_attention:
                samples, maps = self._network.with_attention(batch)
            else:
                samples, maps = self._network(batch, num_left), [None] * len(indices)
            number = len(samples[0].pred_score)
            if number != len(self.classes):  # of a head without num_classes
                known = f'{len(self.classes)} class names are known'
                raise ValueError(f'the model scores {number} classes, but {known}')
            for index, sample, own_maps in zip(indices, samples, maps, strict=True):
                scores = sample.pred_score.float().cpu().numpy().astype(np.float64)
                order = np.argsort(-scores, kind='stable')
                labels = order[scores[order] >= thresholds[order]][:topk]
                names = [self.classes[i] for i in labels]
                predicted[index] = dict(labels=names, scores=scores[labels].tolist())
                if return_attention:
                    predicted[index] |= self._attention(labels, own_maps)
                    predicted[index]['seen'] = self.pipeline.seen(packed[index])
        return predicted

    def _attention(self, labels: np.ndarray, maps: Tensor) -> dict:
        """Pick the maps of the queries of some classes from ``(heads, K, H, W)``."""
        group_size = self.model.head.decoder.group_linear.group_size
        queries = labels // group_size
        classes = range(len(self.classes))
        shared = [
            [self.classes[i] for i in classes[q * group_size : (q + 1) * group_size] if i != label]
            for label, q in zip(labels, queries, strict=True)
        ]
        attention = maps[:, queries].transpose(0, 1).float().cpu().numpy()
        return dict(attention=attention, shares_query_with=shared)

    def _init_pipeline(self, cfg: Config) -> ImagePipeline:
        return ImagePipeline(cfg.test_dataloader.dataset.pipeline)
