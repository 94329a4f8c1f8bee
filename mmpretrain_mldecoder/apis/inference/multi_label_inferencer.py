"""Prediction of the labels of images with a trained multi-label model."""

import copy
import os
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import default_collate
from mmengine.device import get_device
from mmengine.model import BaseModel
from mmpretrain.apis import BaseInferencer
from mmpretrain.structures import DataSample
from torch import Tensor

from ...checkpoints import classes_of
from ...engine.checks.config_error import explained
from ...errors import ConfigError, UnreadableImageError
from ...fileio.terminal import counted, one_line, progress_bar
from ...models.attention import attention_kind, predict_with_attention
from ..thresholds import stored_thresholds
from ..trained_model import config_and_checkpoint, load_trained
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
        model (str | PathLike | Config | BaseModel): Config of the model, or the name of a row, as
            ``mmpretrain.list_models`` lists them, or a model that ``mmpretrain.get_model`` built.
            It is not changed.
        pretrained (str | PathLike | bool, optional): Checkpoint; its ``state_dict``, the average of
            the weights where training kept one, must fit the model exactly. Defaults to None, as
            True: the published weights of the named row, the config's ``load_from``, or the weights
            that the built model has.
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
        classes (Sequence[str], optional): Names to use for the classes, in the order of the scores.
            Defaults to those above.

    Raises:
        ValueError: If no row has this name, if there is no checkpoint or it is damaged or has NaN
            in its weights, if no class names are found, or an argument is out of range or not
            available here.
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
        model: str | os.PathLike | Config | BaseModel,
        pretrained: str | os.PathLike | bool | None = None,
        device: str | torch.device | None = None,
        batch_size: int = 32,
        backend: Literal['torch', 'onnx'] | None = None,
        classes: Sequence[str] | None = None,
    ):
        _check_batch_size(batch_size)
        config, self.checkpoint = config_and_checkpoint(model, pretrained)
        device = device or ('cpu' if backend == 'onnx' else get_device())
        check_backend(backend, device)
        try:
            torch.empty(0, device=device)
        except (AssertionError, RuntimeError) as error:
            reason = one_line(error)
            raise ValueError(f'device is {device}, which torch cannot use: {reason}') from error
        if config.get('test_dataloader') is None:
            raise ValueError('the config has no test_dataloader, whose pipeline is needed')
        # A copy, as batch norms are folded below.
        source = copy.deepcopy(model) if isinstance(model, BaseModel) else config
        with explained(config, 'model', 'data_preprocessor', 'test_dataloader'):
            super().__init__(source, pretrained=None, device=device)
        trained = load_trained(self.model, self.config, self.checkpoint, classes)
        self.classes, self._meta = trained
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
        are those of the class. Raises ``ValueError`` also if the checkpoint has no config, or one
        that asks for more than models and transforms that MMPretrain or this package register.
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
        return_datasamples: bool = False,
        show_dir: str | os.PathLike | None = None,
        batch_size: int | None = None,
        **others,
    ) -> list[dict] | list[DataSample]:
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
            return_datasamples (bool): Whether to return the data samples of the head in place of
                dicts: ``pred_score`` ``(C,)``, and as ``pred_label`` the labels that the dict would
                have. Defaults to False.
            show_dir (str | PathLike, optional): Folder to draw each image in, with its labels and
                scores beneath, as a PNG named like the image, or ``<index>.png``. The second image
                of a name gets ``_1``. Defaults to None: nothing is drawn.
            batch_size (int, optional): Images per forward pass of this call. Defaults to that of
                the inferencer.
            **others: None is known; the error names ``show_dir`` in place of the host's ``show``.

        Returns:
            list[dict] | list[DataSample]: One per image, in the order of the inputs: ``path`` (or
            ``index``, the position among the inputs, for what has no path), ``labels`` (names) and
            ``scores`` (floats in ``[0, 1]``), best first, ties by class. With ``return_attention``
            also

            - ``attention``: float32 ``(n, heads, H, W)`` for ``n`` labels; each map sums to 1,
              or to 0 where no cell speaks for the label;
            - ``attention_kind``: what it is, see :func:`.attention_kind`;
            - ``shares_query_with``: per label, the other classes of the same query and map;
            - ``seen``: BGR ``uint8`` ``(h, w, 3)``, what the maps lie over: the image as the
              network saw it, in the photo's aspect where the pipeline only squashed it.

        Raises:
            FileNotFoundError: If there is no such image, or none in a folder or glob.
            TypeError: If an argument is none of these.
            ValueError: If an image cannot be read, a number is out of range, the checkpoint has no
                thresholds, or the head has no attention.
        """
        if others:
            raise TypeError(
                f'{", ".join(others)}: no argument of a MultiLabelInferencer. Images are drawn '
                "with show_dir='a folder', as PNG files, and in no window"
            )
        self.check(thr, topk, return_attention)
        batch_size = self.batch_size if batch_size is None else _check_batch_size(batch_size)
        if return_datasamples and return_attention:
            raise ValueError('return_datasamples=True leaves no place for attention: ask for one')
        images = expand_inputs(inputs)
        stream = self.stream_expanded(images, thr, topk, return_attention, batch_size)
        results, names = [], set()
        with progress_bar(disable=len(images) <= batch_size) as bar:
            tracked = bar.track(stream, len(images), description='predicting')
            for index, prediction, sample in tracked:
                if show_dir is not None:
                    name = _drawing_name(images[index], index, names)
                    self._draw(images[index], prediction, Path(show_dir, f'{name}.png'))
                results.append(sample if return_datasamples else prediction)
        return results

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
        stream = self.stream_expanded(
            images, thr, topk, return_attention, self.batch_size, on_unreadable
        )
        return (prediction for _, prediction, _ in stream)

    def stream_expanded(
        self,
        images: Sequence[SingleImage],
        thr: Threshold,
        topk: int | None,
        return_attention: bool,
        batch_size: int,
        on_unreadable: OnUnreadable | None = None,
    ) -> Iterator[tuple[int, dict, DataSample]]:
        """Do as :meth:`stream` with what :func:`expand_inputs` listed; no argument is checked.

        Yields the index of each image, its prediction and its data sample.
        """
        thresholds = self.thresholds(thr)
        for start in range(0, len(images), batch_size):
            end = min(start + batch_size, len(images))
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
                prediction, sample = predicted.pop(index)
                yield index, name | prediction, sample

    def check(self, thr: Threshold, topk: int | None, return_attention: bool) -> None:
        """Raise a ``ValueError`` if images cannot be predicted with these arguments."""
        self.thresholds(thr)
        if topk is not None and topk < 1:
            raise ValueError(f'topk must be at least 1, but got {topk}')
        if return_attention and attention_kind(self.model) is None:
            head = type(getattr(self.model, 'head', None)).__name__
            raise ValueError(
                f'a {head} has no attention: ML-Decoder has, and CSRA, and a linear layer behind '
                'GlobalAveragePooling, have class activation maps'
            )

    def thresholds(self, thr: Threshold) -> np.ndarray:
        """Return the threshold of each class, ``(C,)`` float64.

        Raises ``ValueError`` if ``thr`` is out of range, or the checkpoint has no thresholds.
        """
        if thr == 'tuned':
            names = classes_of(dict(meta=self._meta))  # before classes= renamed them
            return stored_thresholds(self._meta, [str(name) for name in names or self.classes])
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
    ) -> dict[int, tuple[dict, DataSample]]:
        """Predict packed images, those of one size together."""
        sizes: dict[torch.Size, list[int]] = {}
        for index, image in packed.items():
            sizes.setdefault(image['inputs'].shape, []).append(index)
        predicted = {}
        for indices in sizes.values():
            batch = default_collate([packed[index] for index in indices])
            if return_attention:
                samples, maps = predict_with_attention(self.model, batch)
            else:
                samples, maps = self._network(batch, num_left), [None] * len(indices)
            number = len(samples[0].pred_score)
            if number != len(self.classes):  # of a head without num_classes
                known = counted(len(self.classes), 'class name is', 'class names are')
                scored = counted(number, 'class')
                raise ValueError(f'the model scores {scored}, but {known} known')
            for index, sample, own_maps in zip(indices, samples, maps, strict=True):
                scores = sample.pred_score.float().cpu().numpy().astype(np.float64)
                order = np.argsort(-scores, kind='stable')
                labels = order[scores[order] >= thresholds[order]][:topk]
                sample.set_pred_label(torch.tensor(labels, device=sample.pred_score.device))
                names = [self.classes[i] for i in labels]
                prediction = dict(labels=names, scores=scores[labels].tolist())
                if return_attention:
                    prediction |= self._attention(labels, own_maps)
                    prediction['seen'] = self.pipeline.seen(packed[index])
                predicted[index] = prediction, sample
        return predicted

    def _attention(self, labels: np.ndarray, maps: Tensor) -> dict:
        """Pick the maps of the queries of some classes from ``(heads, K, H, W)``."""
        group_size = -(-len(self.classes) // maps.shape[1])
        queries = labels // group_size
        classes = range(len(self.classes))
        shared = [
            [self.classes[i] for i in classes[q * group_size : (q + 1) * group_size] if i != label]
            for label, q in zip(labels, queries, strict=True)
        ]
        attention = maps[:, queries].transpose(0, 1).float().cpu().numpy()
        kind = attention_kind(self.model)
        return dict(attention=attention, attention_kind=kind, shares_query_with=shared)

    def _draw(self, image: SingleImage, prediction: dict, out: Path) -> None:
        from ...visualization.labelled_image import labelled_image  # matplotlib takes long

        labelled_image(self.pipeline.for_drawing(image), prediction, out)

    def _init_pipeline(self, cfg: Config) -> ImagePipeline:
        return ImagePipeline(cfg.test_dataloader.dataset.pipeline)


def _check_batch_size(batch_size: int) -> int:
    if batch_size < 1:
        raise ValueError(f'batch_size must be at least 1, but got {batch_size}')
    return batch_size


def _drawing_name(image: SingleImage, index: int, taken: set[str]) -> str:
    """Return the name of an image without its ending, or its index; different from those taken."""
    stem = Path(image).stem if isinstance(image, str) else str(index)
    names = (f'{stem}_{number}' if number else stem for number in count())
    name = next(name for name in names if name not in taken)
    taken.add(name)
    return name
