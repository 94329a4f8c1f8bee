"""Strict fitting of a checkpoint to the model, before anything is measured with it."""

from mmengine.hooks import Hook
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner import BaseLoop
from mmpretrain.registry import HOOKS
from torch import nn

from ...checkpoints import fit
from ...checkpoints.fit import compare, is_converted, listed
from ...checkpoints.load import classes_of
from ...errors import WeightsMismatchError
from ...fileio.terminal import printable


@HOOKS.register_module()
class CheckpointFitHook(Hook):
    """Check what is loaded into a whole model; ``PortableRunner`` always has it.

    MMEngine loads what fits and logs the rest. With this hook

    - a test or a validation raises if a parameter or running statistic is missing, has another
      shape or is NaN, or if the checkpoint has the dataset's classes in another order. Other names
      of classes are a warning, as these may be other words for the same;
    - a training with ``load_from`` and *converted* weights (``meta['converted']``) raises if the
      backbone does not fit fully. Head weights that do not fit are randomly initialised, and one
      line of the log lists them. For all other checkpoints a training stays as MMEngine has it;
    - ``resume`` is left alone.

    It raises :class:`WeightsMismatchError` with names and shapes, and ``ValueError`` for NaN.
    """

    # Before the hooks that load the checkpoint into their own copies of the model.
    priority = 'HIGHEST'

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        if runner._resume:
            return
        model = runner.model
        while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
            model = model.module
        source = runner._load_from or 'the checkpoint'
        # A loop is built when its run begins.
        trains = isinstance(runner._train_loop, BaseLoop)
        tests = [one for one in (runner._val_loop, runner._test_loop) if isinstance(one, BaseLoop)]
        if is_converted(checkpoint):
            checkpoint['state_dict'] = fit.drop_surplus_outputs(model, checkpoint['state_dict'])
            _check_backbone(model, checkpoint['state_dict'], source)
            if trains:
                _complete(runner, model, checkpoint, source)
        if tests and not trains:
            _check_whole(model, checkpoint, source)
            _check_classes(runner, tests[0].dataloader.dataset, checkpoint, source)


def _check_backbone(model: nn.Module, state_dict: dict, source: str) -> None:
    if not hasattr(model, 'backbone'):
        raise WeightsMismatchError(
            f'{source} has weights of a backbone and a head, and {type(model).__name__} has no '
            'backbone. Load them by the init_cfg of the part that they are for'
        )
    fit.check_fit(model.backbone, fit.below(state_dict, 'backbone.'), source)


def _complete(runner, model: nn.Module, checkpoint: dict, source: str) -> None:
    """Complete a checkpoint of converted weights with the model's own random ones."""
    state_dict = checkpoint['state_dict']
    mismatch = compare(model, state_dict)
    random = [*mismatch.missing, *mismatch.misshaped]
    unused = [*mismatch.left_over, *mismatch.foreign]
    if random or unused:
        fresh = model.state_dict()
        kept = {name: value for name, value in state_dict.items() if name not in unused}
        checkpoint['state_dict'] = kept | {name: fresh[name].clone() for name in random}
        runner.logger.warning(
            f'The training keeps the backbone of {source}. '
            f'{len(random)} other weights are randomly initialised: {", ".join(random) or "none"}. '
            f'{len(unused)} weights of the file are not used: {", ".join(unused) or "none"}.'
        )


def _check_whole(model: nn.Module, checkpoint: dict, source: str) -> None:
    state_dict = checkpoint.get('state_dict', checkpoint)
    state_dict = {name.removeprefix('module.'): value for name, value in state_dict.items()}
    # Other buffers are made by the model: a checkpoint of another version may lack them.
    needed = {name for name, _ in model.named_parameters()}
    needed |= {n for n in model.state_dict() if n.endswith(('running_mean', 'running_var'))}
    broken = [name for name in needed & state_dict.keys() if state_dict[name].isnan().any()]
    if broken:
        raise ValueError(
            f'{source} has NaN among its weights ({listed(sorted(broken))}), as a training that '
            'diverged leaves them: test an earlier checkpoint'
        )
    found = compare(model, state_dict)
    missing = tuple(name for name in found.missing if name in needed)
    misshaped = {name: shapes for name, shapes in found.misshaped.items() if name in needed}
    mismatch = fit.Mismatch(missing, misshaped, left_over=(), foreign=())
    names = {*mismatch.missing, *mismatch.misshaped}
    if names and not _adapts(model, state_dict, names):
        raise WeightsMismatchError(
            f'{source} cannot be tested with this config: {mismatch}. '
            + _hint(needed, names, state_dict)
        )


def _adapts(model: nn.Module, state_dict: dict, names: set[str]) -> bool:
    """Whether the model's own loading code fills the names, such as position embeddings."""
    try:
        return names.isdisjoint(model.load_state_dict(state_dict, strict=False).missing_keys)
    except RuntimeError:  # another shape
        return False


def _hint(needed: set[str], names: set[str], state_dict: dict) -> str:
    head = {name for name in needed if name.startswith('head.')}
    if not names & head:
        return 'Test it with the config that it was trained with'
    if not head <= names:
        return (
            'If it is the number of classes, set model.head.num_classes (and num_groups of an '
            'ML-Decoder, and data_preprocessor.num_classes) to that of the file'
        )
    others = listed([name for name in state_dict if name.startswith('head.')])
    return (
        f'None of it fits the head; the file has {others or "no head"}. A test needs the weights '
        'of the whole model. A training can start from the backbone: '
        'model.backbone.init_cfg.checkpoint'
    )


def _check_classes(runner, dataset, checkpoint: dict, source: str) -> None:
    """Compare the class names of checkpoint and dataset, as far as both have some."""
    theirs = list(map(str, classes_of(checkpoint) or ()))
    ours = list(map(str, (getattr(dataset, 'metainfo', None) or {}).get('classes') or ()))
    pairs = enumerate(zip(theirs, ours, strict=False))
    index = next((index for index, (one, other) in pairs if one != other), None)
    if index is None:
        return
    difference = (
        f'class {index} is {printable(theirs[index])!r} in {source} and {printable(ours[index])!r} '
        'in the dataset'
    )
    if sorted(theirs) == sorted(ours):
        raise WeightsMismatchError(
            f'{difference}: the same classes in another order, so that scores would be compared '
            'with the labels of other classes. Set `classes` of the dataset to the order of the '
            'checkpoint'
        )
    runner.logger.warning(
        f'{difference}. If these are not two words for the same, the numbers mean nothing.'
    )
