"""Moving average of the weights, evaluated and saved beside the raw weights."""

import copy

import torch
from mmengine.dist import broadcast
from mmengine.evaluator import DumpResults, Evaluator
from mmengine.hooks import EMAHook
from mmengine.model import BaseTTAModel
from mmengine.optim import OptimWrapper
from mmengine.runner import BaseLoop, autocast, load_state_dict
from mmpretrain.registry import HOOKS

from ...checkpoints.fit import below
from ...evaluation.metrics.dump_results import AtomicDumpResults
from ..distributed import unwrapped


@HOOKS.register_module()
class DualEMAHook(EMAHook):
    """``EMAHook`` for parameters and buffers that also evaluates the raw weights.

    The average starts as the weights that the training starts from. After each step ``ema = decay *
    ema + (1 - decay) * raw``, for parameters and floating buffers alike. Validation and test report
    the EMA weights under the metrics' own names and the raw weights with ``_raw`` (``coco/mAP`` and
    ``coco/mAP_raw``), on the same batches. In a checkpoint ``state_dict`` is the EMA and
    ``ema_state_dict`` the raw weights, as in MMEngine.

    Differs from ``EMAHook`` in: buffers are averaged, and the first step counts like any other (as
    in the recipes); before a validation all ranks get the buffers of the main process, which the
    checkpoint holds; a test in the process of the training keeps the averages.

    Args:
        decay (float): Share of the old average that stays at each step, in ``(0, 1)``, which is
            1 - MMEngine's ``momentum``. Defaults to 0.9997, as in the recipes of ML-Decoder.
        test_weights (str, optional): What a test evaluates: ``'ema'``, ``'raw'`` (then under the
            metrics' own names), or None for both if the checkpoint has both. Defaults to None;
            ``'raw'`` is a ``ValueError`` if the checkpoint has no raw weights.
        **kwargs: ``begin_iter``, ``begin_epoch`` and ``strict_load`` of ``EMAHook``.
    """

    # The raw metrics must be in place before RuntimeInfoHook (VERY_HIGH) passes them to the log.
    priority = 'HIGHEST'

    def __init__(self, decay: float = 0.9997, test_weights: str | None = None, **kwargs):
        if not 0 < decay < 1:
            raise ValueError(f'decay must be in (0, 1), but got {decay}')
        if test_weights not in (None, 'ema', 'raw'):
            raise ValueError(f"test_weights must be 'ema', 'raw' or None, but got {test_weights!r}")
        super().__init__(momentum=1 - decay, update_buffers=True, **kwargs)
        self.test_weights = test_weights
        self.src_model = None
        self.has_both = True

    def before_run(self, runner) -> None:
        model = unwrapped(runner.model)
        if self.src_model is not model:
            super().before_run(runner)
            self.ema_model.eval()

    def before_train(self, runner) -> None:
        super().before_train(runner)
        if self.ema_model.steps == 0:  # not resumed; before_run comes ahead of initialisation
            self.ema_model.update_parameters(self.src_model)

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        if runner._resume:
            super().after_load_checkpoint(runner, checkpoint)
            return
        state_dict = checkpoint.get('state_dict', checkpoint)
        is_training = isinstance(runner.optim_wrapper, OptimWrapper)
        if not is_training:
            self.has_both = 'ema_state_dict' in checkpoint
            if self.has_both:
                self._swap_ema_state_dict(checkpoint)
                state_dict = below(checkpoint['ema_state_dict'], 'module.')
            elif self.test_weights == 'raw':
                raise ValueError(
                    'the checkpoint has no raw weights (ema_state_dict): test it without '
                    'test_weights or --weights'
                )
        load_state_dict(self.ema_model.module, state_dict, strict=self.strict_load)

    def before_val_epoch(self, runner) -> None:
        for buffer in (*self.src_model.buffers(), *self.ema_model.module.buffers()):
            broadcast(buffer)
        super().before_val_epoch(runner)
        self._begin_raw(runner.val_evaluator)

    def after_val_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        if self.has_both:
            self._process_raw(self.ema_model.module.val_step, runner.val_loop, data_batch)

    def after_val_epoch(self, runner, metrics: dict | None = None) -> None:
        super().after_val_epoch(runner, metrics)
        if self.has_both:
            self._add_raw(runner, runner.val_loop, metrics)

    def before_test_epoch(self, runner) -> None:
        if self.test_weights != 'raw':
            super().before_test_epoch(runner)
        self._begin_raw(runner.test_evaluator)

    def after_test_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        if self._tests_both:
            samples = self._test_raw(runner, data_batch)
            for metric in runner.test_evaluator.metrics:
                if isinstance(metric, AtomicDumpResults):
                    metric.add_raw(samples)

    def after_test_epoch(self, runner, metrics: dict | None = None) -> None:
        if self.test_weights != 'raw':
            super().after_test_epoch(runner, metrics)
        if self._tests_both:
            self._add_raw(runner, runner.test_loop, metrics)

    @property
    def _tests_both(self) -> bool:
        return self.has_both and self.test_weights is None

    def _begin_raw(self, evaluator: Evaluator) -> None:
        """Copy the metrics, without those that dump the scores of both weights."""
        self.raw_evaluator = copy.deepcopy(evaluator)
        self.raw_evaluator.metrics = [
            metric for metric in self.raw_evaluator.metrics if not isinstance(metric, DumpResults)
        ]

    def _test_raw(self, runner, data_batch) -> list:
        if not isinstance(runner.model, BaseTTAModel):
            return self._process_raw(self.ema_model.module.test_step, runner.test_loop, data_batch)
        # A model of test-time augmentation wraps only one model: it gets the raw weights.
        self._swap_ema_parameters()
        samples = self._process_raw(runner.model.test_step, runner.test_loop, data_batch)
        self._swap_ema_parameters()
        return samples

    @torch.no_grad()
    def _process_raw(self, step, loop: BaseLoop, data_batch) -> list:
        # The model holds the EMA weights for now, and `ema_model` the raw ones. The batch is
        # copied because a head writes its predictions into the data samples.
        with autocast(enabled=loop.fp16):
            outputs = step(copy.deepcopy(data_batch))
        self.raw_evaluator.process(outputs, data_batch)
        return outputs

    def _add_raw(self, runner, loop: BaseLoop, metrics: dict) -> None:
        runner.logger.info('Evaluating the raw weights, whose metrics end in _raw')
        raw_metrics = self.raw_evaluator.evaluate(len(loop.dataloader.dataset))
        metrics.update({f'{name}_raw': value for name, value in raw_metrics.items()})
