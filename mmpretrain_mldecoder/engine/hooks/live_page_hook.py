"""A page of the training, written while it runs."""

import copy
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, autocast
from mmpretrain.registry import HOOKS

from ...fileio.terminal import one_line
from ..distributed import unwrapped

FILE = 'live.html'


@HOOKS.register_module()
class LivePageHook(Hook):
    """Write ``live.html`` into the work dir of a training: leave it open in a browser.

    It shows loss, learning rate and the metrics of all validations; AP per class, where
    :class:`MultiLabelMAP` is among the metrics; and some images of the validation dataset, the same
    each time, with labels, scores and, if the model has any, attention. What is shown is predicted
    by the weights that are validated: the averaged ones with :class:`DualEMAHook`.
    The log gets one line a validation. A resumed training continues the page.

    The main process alone works for it; random numbers, and with them the training, stay what they
    are. An error does not end the training: it is a warning, once.

    Args:
        num_images (int): Images of the page, at least 0, evenly spaced in the validation dataset.
            Defaults to 16.
        refresh (float): Seconds between two writings, at least; a hundred times as long as one
            takes if that is more. Defaults to 20.
    """

    # After the averaged weights are in the model, and after LoggerHook has written the scalars.
    priority = 'LOW'

    def __init__(self, num_images: int = 16, refresh: float = 20):
        for name, value in dict(num_images=num_images, refresh=refresh).items():
            if value < 0:
                raise ValueError(f'{name} must be at least 0, but got {value}')
        self.num_images = num_images
        self.refresh = refresh
        self._page = None
        self._samples: list[dict] = []

    @master_only
    def before_train(self, runner) -> None:
        from ...visualization.live_page import LivePage  # matplotlib takes long

        self._warned: set[str] = set()
        self._counts_epochs = isinstance(runner.train_loop, EpochBasedTrainLoop)
        loader = runner.train_dataloader if runner.val_loop is None else runner.val_dataloader
        classes = (getattr(loader.dataset, 'metainfo', None) or {}).get('classes') or ()
        self._page = LivePage(
            path=Path(runner.work_dir, FILE).absolute(),
            title='/'.join(Path(runner.work_dir).absolute().parts[-2:]),  # often RUN/train
            unit='epoch' if self._counts_epochs else 'iteration',
            classes=[str(name) for name in classes],
            notes=['This training is not validated.'] if runner.val_loop is None else [],
        )
        if runner.iter > 0:
            self._page.continue_from(runner.iter, self._step(runner))
        self._samples = []
        self._predicted: dict = {}
        self._next = 0.0
        self._write(runner, runner.iter)
        runner.logger.info(f'Live page: open {self._page.path} in a browser; it refreshes itself')

    @master_only
    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        if time.monotonic() >= self._next:
            self._write(runner, runner.iter + 1)

    @master_only
    def before_val_epoch(self, runner) -> None:
        if self._page is None or not self.num_images:  # None: a validation without training
            return
        self._predicted = {}
        with self._without_harm(runner, 'The images of the live page'):
            if self._samples:
                predicted = self._predict(runner, self._samples)
            else:
                predicted = self._load_images(runner)
            self._predicted = dict(scores=predicted['scores'], attention=predicted['attention'])

    @master_only
    def after_val_epoch(self, runner, metrics: dict | None = None) -> None:
        if self._page is None:
            return
        with self._without_harm(runner, 'The validation on the live page'):
            details = self._predicted
            for metric in runner.val_evaluator.metrics:
                if hasattr(metric, 'class_ap') and 'class_ap' not in details:
                    details |= dict(class_ap=metric.class_ap, positives=metric.class_positives)
            self._page.add_validation(self._step(runner), metrics or {}, **details)
            runner.logger.info(self._page.summary())
        self._write(runner, runner.iter)

    @master_only
    def after_train(self, runner) -> None:
        self._write(runner, runner.iter, is_finished=True)
        self._page = None

    def _step(self, runner) -> int:
        return runner.epoch if self._counts_epochs else runner.iter

    def _write(self, runner, iteration: int, is_finished: bool = False) -> None:
        from ...visualization.curves import read_run_scalars

        start = time.monotonic()
        with self._without_harm(runner, 'The live page'):
            scalars = Path(runner.log_dir, 'vis_data', 'scalars.json')
            self._page.write(
                read_run_scalars(scalars)[0] if scalars.exists() else [],
                is_finished,
                iteration=iteration,
                max_iterations=runner.max_iters,
                epoch=runner.epoch if self._counts_epochs else None,
                max_epochs=runner.max_epochs if self._counts_epochs else None,
                seconds_left=runner.message_hub.runtime_info.get('eta'),
                refresh=max(self.refresh, 5),
            )
        end = time.monotonic()
        self._next = end + max(self.refresh, 100 * (end - start))

    def _load_images(self, runner) -> dict:
        """Load the samples, put the images on the page, and return what is predicted for them."""
        from ...datasets.dataset_wrappers import inner_datasets
        from ...datasets.seeded_sampler import sample_random_state
        from ...datasets.transforms.network_view import keep_whole, network_view
        from ...visualization.live_page import LiveImage

        dataset = runner.val_dataloader.dataset
        count = min(self.num_images, len(dataset))
        indices = np.linspace(0, len(dataset) - 1, count).round().astype(int).tolist()
        with sample_random_state(0):
            samples = [dataset[index] for index in indices]
        samples.sort(key=lambda sample: tuple(sample['inputs'].shape))  # batches of one shape
        pipelines = [each.pipeline for each in inner_datasets(dataset) if hasattr(each, 'pipeline')]
        is_whole = all(keep_whole(pipeline.transforms) for pipeline in pipelines)
        predicted, images = self._predict(runner, samples), []
        for sample, targets in zip(samples, predicted['targets'], strict=True):
            packed = sample['data_samples']
            shape = packed.get('ori_shape') if is_whole else None
            file = str(packed.get('img_path', ''))
            images.append(LiveImage(file, network_view(sample['inputs'], shape), targets))
        self._page.set_images(images)
        self._samples = samples
        return predicted

    @torch.no_grad()
    def _predict(self, runner, samples: list[dict]) -> dict:
        """Predict the images; return scores and targets ``(n, C)``, and attention or None."""
        from ...evaluation.metrics.sample_arrays import sample_arrays
        from ...models.attention import attention_kind, predict_with_attention

        model = unwrapped(runner.model)
        model.eval()  # as the loop does in a moment
        has_attention = attention_kind(model) is not None
        loader, predicted, attention = runner.val_dataloader, [], []
        with autocast(enabled=getattr(runner.val_loop, 'fp16', False)):
            for _, group in groupby(samples, lambda sample: sample['inputs'].shape):
                equal = copy.deepcopy(list(group))  # the head writes its predictions into them
                size = loader.batch_size or 1
                for start in range(0, len(equal), size):
                    batch = loader.collate_fn(equal[start : start + size])
                    if has_attention:
                        outputs, maps = predict_with_attention(model, batch)
                        attention += list(maps.mean(1).float().cpu().numpy())
                    else:
                        outputs = model.val_step(batch)
                    predicted += outputs
        arrays = sample_arrays(predicted)
        return dict(
            scores=arrays['scores'],
            targets=arrays['targets'],
            attention=attention if has_attention else None,
        )

    @contextmanager
    def _without_harm(self, runner, what: str) -> Iterator[None]:
        """Turn an error into a warning, the first time: no page is worth a training."""
        try:
            yield
        except Exception as error:
            if what not in self._warned:
                self._warned.add(what)
                reason = f'{type(error).__name__}: {one_line(error)}'
                runner.logger.warning(f'{what}: {reason}. The training continues without')
