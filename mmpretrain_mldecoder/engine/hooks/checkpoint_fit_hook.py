"""Strict fitting of a checkpoint to the model, before anything is computed with it."""

from collections.abc import Mapping

from mmengine.hooks import Hook
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner import BaseLoop
from mmpretrain.registry import HOOKS
from torch import nn

from ...checkpoints import fit
from ...checkpoints.classes import ClassChange, compare_classes, move_rows
from ...checkpoints.fit import below
from ...checkpoints.load import classes_of
from ...errors import RunError, WeightsMismatchError
from ...fileio.terminal import listed


@HOOKS.register_module()
class CheckpointFitHook(Hook):
    """Check what is loaded into a whole model; ``PortableRunner`` always has it.

    MMEngine loads what fits and logs the rest. With this hook

    - a test or a validation raises if a parameter or running statistic is missing, has another
      shape or is NaN, or if the checkpoint has the dataset's classes in another order. Other names
      of classes are a warning, as these may be other words for the same;
    - a training with ``load_from`` raises if the backbone does not fit fully, unless the config
      has ``load_strict = False``. Head weights that do not fit are randomly initialised, and one
      line of the log lists them. Where the classes differ, the rows of the head follow their names
      (:func:`.move_rows`), and a line lists what was kept, moved, new and dropped;
    - ``resume`` raises if the checkpoint has other classes than the dataset.

    Names may stand behind any prefix. It raises :class:`WeightsMismatchError` with names and
    shapes, :class:`RunError` for a resume, and ``ValueError`` for NaN.
    """

    # Before the hooks that load the checkpoint into their own copies of the model.
    priority = 'HIGHEST'

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        source = runner._load_from or 'the checkpoint'
        # A loop is built when its run begins.
        loops = (runner._train_loop, runner._val_loop, runner._test_loop)
        trains, *_ = (isinstance(loop, BaseLoop) for loop in loops)
        loop = next((loop for loop in loops if isinstance(loop, BaseLoop)), None)
        if loop is None:
            return
        classes = (getattr(loop.dataloader.dataset, 'metainfo', None) or {}).get('classes')
        change = compare_classes(classes_of(checkpoint), classes)
        if runner._resume:
            if trains and change is not None and not change.is_same:
                raise RunError(
                    f'{change.first_difference("the dataset", source)}: a training resumes with '
                    f'the classes that it had ({change}). Set `classes` of the dataset to those, '
                    'or start a new training from the weights with load_from, without resume'
                )
            return
        model = runner.model
        while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
            model = model.module
        if trains:
            checkpoint['state_dict'] = _load_start(runner, model, checkpoint, source, change)
            return
        checkpoint['state_dict'] = fit.load_whole(model, checkpoint, source)
        # Classes are compared as far as both have names.
        if change is not None and change.is_reordered:
            raise WeightsMismatchError(
                f'{change.first_difference("the dataset", source)}: the same classes in another '
                'order, so that scores would be compared with the labels of other classes. Set '
                '`classes` of the dataset to the order of the checkpoint'
            )
        if change is not None and not change.is_same:
            runner.logger.warning(
                f'{change.first_difference("the dataset", source)}. If these are not two words for '
                f'the same, the numbers mean nothing ({change}).'
            )


def _load_start(
    runner, model: nn.Module, checkpoint: Mapping, source: str, change: ClassChange | None
) -> dict:
    """Load what a training starts from; return all weights of the model, the random ones too."""
    state, prefix = fit.in_names_of(model, checkpoint.get('state_dict', checkpoint), source)
    if change is not None and not change.is_same and hasattr(model, 'head'):
        moved, lost = move_rows(model.head, below(state, 'head.'), change)
        lost = [f'head.{name}' for name in lost]
        state = {name: value for name, value in state.items() if name not in lost}
        state |= {f'head.{name}': value for name, value in moved.items()}
        if moved or lost:
            rows = 'The rows of the head follow their names' if moved else 'No row can follow'
            runner.logger.warning(
                f'{change.first_difference("the dataset", source)}. {rows}: {change}. Rows of '
                'new classes are randomly initialised.'
            )
        elif any(name.startswith('head.') for name in state):
            runner.logger.warning(
                f'{change.first_difference("the dataset", source)}, and the head is not known '
                'here: its weights stay where they are.'
            )
    found = fit.load(model, state, source)
    network, outer, loaded = model, '', fit.Loaded(state, prefix, found)
    if hasattr(model, 'backbone'):  # which may be all that the file has
        network, outer = model.backbone, 'backbone.'
        loaded = fit.load_fitting(network, checkpoint, source)
    norms = fit.fresh_norms(network, loaded.mismatch.missing)
    mismatch = loaded.mismatch.without(lambda n: n in norms or f'{outer}{n}'.startswith('head.'))
    if runner.cfg.get('load_strict', True):
        fit.check_start(network, mismatch, source, 'load_strict = False in the config')
    rest = [name for name in found.random if outer and not name.startswith(outer)]
    random = [*rest, *(outer + name for name in loaded.mismatch.random)]
    is_alone = len(random) < len(found.random)
    where, unused = (loaded.prefix, loaded.mismatch.unused) if is_alone else (prefix, found.unused)
    where = f', below {where} in it' if where else ''
    if random or unused:
        kept = 'what fits' if mismatch else 'the backbone'
        runner.logger.warning(
            f'The training keeps {kept} of {source}{where}. '
            f'{len(random)} other weights are randomly initialised: '
            f'{listed(random, 10) or "none"}. '
            f'{len(unused)} weights of the file are not used: {listed(unused, 10) or "none"}.'
        )
    elif where:
        runner.logger.info(f'The training keeps all weights of {source}{where}.')
    return {name: value.detach().clone() for name, value in model.state_dict().items()}
