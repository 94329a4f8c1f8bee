"""Refuse a checkpoint that does not fit the model, before anything is measured with it."""

from mmengine.hooks import Hook
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner import BaseLoop
from mmpretrain.registry import HOOKS
from torch import nn

from ...checkpoints.fit import Misfit, below, compare, listed
from ...checkpoints.pretrained_init import fit_outputs, is_converted
from ...fileio.terminal import printable

_STATISTICS = ('running_mean', 'running_var')


@HOOKS.register_module()
class CheckpointFitHook(Hook):
    """Check what is loaded into a whole model; ``PortableRunner`` always has it.

    MMEngine loads what fits and logs the rest. With this hook

    - a test or a validation raises if a parameter or running statistic is missing or has another
      shape, whatever the checkpoint: the number would be that of random weights; if one is NaN; or
      if the checkpoint has the data set's classes in another order. Other names of classes are a
      warning, as these may be other words for the same;
    - a training with ``load_from`` and *converted* weights (``meta['converted']``) raises if the
      backbone does not fit fully. Head weights that do not fit start anew, and one line of the log
      lists them. For all other checkpoints a training stays as MMEngine has it;
    - ``resume`` is left alone.

    Raises:
        ValueError: As said; it lists names, and shapes in the file and in the model.
    """

    # Before the hooks that load the checkpoint into their own copies of the model.
    priority = 'HIGHEST'

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        if runner._resume:
            return
        model = _unwrap(runner.model)
        source = runner._load_from or 'the checkpoint'
        if is_converted(checkpoint):
            checkpoint['state_dict'] = fit_outputs(model, checkpoint['state_dict'])
            _check_backbone(model, checkpoint['state_dict'], source)
        # A loop is built when its run begins.
        is_training = isinstance(runner._train_loop, BaseLoop)
        if is_training and is_converted(checkpoint):
            self._start_rest_anew(runner, model, checkpoint, source)
        is_testing = any(
            isinstance(loop, BaseLoop) for loop in (runner._val_loop, runner._test_loop)
        )
        if is_testing and not is_training:
            _check_whole(model, checkpoint, source)
            doubt = _check_classes(runner, checkpoint, source)
            if doubt:
                runner.logger.warning(doubt)

    def _start_rest_anew(self, runner, model: nn.Module, checkpoint: dict, source: str) -> None:
        """Complete the checkpoint with the model's own fresh weights."""
        state_dict = checkpoint['state_dict']
        misfit = compare(model, state_dict)
        anew = [*misfit.missing, *misfit.misshaped]
        surplus = [*misfit.left_over, *misfit.foreign]
        if not anew and not surplus:
            return
        fresh = model.state_dict()
        kept = {name: value for name, value in state_dict.items() if name not in surplus}
        checkpoint['state_dict'] = kept | {name: fresh[name].clone() for name in anew}
        runner.logger.warning(
            f'The training keeps the backbone of {source}. '
            f'{len(anew)} other weights start anew: {", ".join(anew) or "none"}. '
            f'{len(surplus)} weights of the file are not used: {", ".join(surplus) or "none"}.'
        )


def _unwrap(model: nn.Module) -> nn.Module:
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module
    return model


def _check_backbone(model: nn.Module, state_dict: dict, source: str) -> None:
    if not hasattr(model, 'backbone'):
        raise ValueError(
            f'{source} has weights of a backbone and a head, and {type(model).__name__} has no '
            'backbone. Load them by the init_cfg of the part that they are for'
        )
    misfit = compare(model.backbone, below(state_dict, 'backbone.'))
    if misfit.missing or misfit.misshaped or misfit.left_over:
        raise ValueError(
            f'{source} does not fit the backbone, {type(model.backbone).__name__}: {misfit}. '
            'Choose the type and depth of the network that the weights are of (ResNetVd for '
            'ResNet*_vd), or other weights'
        )


def _check_whole(model: nn.Module, checkpoint: dict, source: str) -> None:
    state_dict = checkpoint.get('state_dict', checkpoint)
    state_dict = {name.removeprefix('module.'): value for name, value in state_dict.items()}
    found = compare(model, state_dict)
    # Other buffers are made by the model: a checkpoint of another version may lack them.
    needed = {name for name, _ in model.named_parameters()}
    needed |= {name for name in model.state_dict() if name.endswith(_STATISTICS)}
    broken = [name for name in needed & state_dict.keys() if state_dict[name].isnan().any()]
    if broken:
        raise ValueError(
            f'{source} has NaN among its weights ({listed(sorted(broken))}), as a training that '
            'diverged leaves them: test a checkpoint of before'
        )
    misfit = Misfit(
        missing=tuple(name for name in found.missing if name in needed),
        misshaped={name: pair for name, pair in found.misshaped.items() if name in needed},
        left_over=(),
        foreign=(),
    )
    names = {*misfit.missing, *misfit.misshaped}
    if names and not _mends_itself(model, state_dict, names):
        raise ValueError(
            f'{source} cannot be tested with this config: {misfit}. '
            + _way_out(needed, names, state_dict)
        )


def _check_classes(runner, checkpoint: dict, source: str) -> str | None:
    """Compare the classes of checkpoint and data set; return what is doubtful of them."""
    theirs = (checkpoint.get('meta', {}).get('dataset_meta') or {}).get('classes')
    loops = [loop for loop in (runner._val_loop, runner._test_loop) if isinstance(loop, BaseLoop)]
    ours = (getattr(loops[0].dataloader.dataset, 'metainfo', None) or {}).get('classes')
    if not theirs or not ours:
        return None
    theirs, ours = list(map(str, theirs)), list(map(str, ours))
    pairs = enumerate(zip(theirs, ours, strict=False))
    index = next((index for index, (one, other) in pairs if one != other), None)
    if index is None:
        return None
    difference = (
        f'class {index} is {printable(theirs[index])!r} in {source} and {printable(ours[index])!r} '
        'in the data set'
    )
    if sorted(theirs) == sorted(ours):
        raise ValueError(
            f'{difference}: the same classes in another order, so that scores would be compared '
            'with the labels of other classes. Set `classes` of the data set to the order of the '
            'checkpoint'
        )
    return f'{difference}. If these are not two words for the same, the numbers mean nothing.'


def _mends_itself(model: nn.Module, state_dict: dict, names: set[str]) -> bool:
    """Whether the model's own loading code fills the names, as for position embeddings."""
    try:
        return names.isdisjoint(model.load_state_dict(state_dict, strict=False).missing_keys)
    except RuntimeError:  # another shape
        return False


def _way_out(needed: set[str], names: set[str], state_dict: dict) -> str:
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
