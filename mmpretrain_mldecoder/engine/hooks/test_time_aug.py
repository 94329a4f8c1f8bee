"""Test-time augmentation: several views of each image, and the average of their scores."""

import copy

from mmengine.config import Config
from mmengine.hooks import Hook
from mmpretrain.registry import HOOKS, MODELS


@HOOKS.register_module()
class TestTimeAugHook(Hook):
    """Wrap the model in ``tta_model``, a ``BaseTTAModel`` without its ``module``, during a test.

    Weights are loaded into the model itself, so whatever looks for them by name finds them.
    (MMPretrain's own tool builds the wrapper in place of the model.) ``views`` are words for the
    log.
    """

    __test__ = False  # for pytest

    def __init__(self, tta_model: dict, views: str = ''):
        self.tta_model, self.views = tta_model, views

    def before_test(self, runner) -> None:
        runner.logger.info(f'Test-time augmentation, scores averaged over {self.views}')
        self.plain_model = runner.model
        runner.model = MODELS.build(dict(self.tta_model, module=runner.model))

    def after_test(self, runner) -> None:
        runner.model = self.plain_model


def apply_tta(cfg: Config) -> None:
    """Add test-time augmentation to the test of a config.

    A config, which is changed in place, may have its own ``tta_model`` and ``tta_pipeline``, as
    MMPretrain's have; else scores are averaged over the views of :func:`tta_pipeline`. Raises
    ``ValueError`` if the test dataset has no pipeline, or ``tta_pipeline`` no ``TestTimeAug``.
    """
    dataset = cfg.test_dataloader.dataset
    if 'pipeline' not in dataset:
        raise ValueError(
            f'the test dataset {dataset.get("type")} has no pipeline of its own to augment: set '
            'the views in a dataset that has one'
        )
    dataset.pipeline = cfg.get('tta_pipeline') or tta_pipeline(dataset.pipeline)
    augment = [step for step in dataset.pipeline if _type(step) == 'TestTimeAug']
    if not augment:
        raise ValueError('tta_pipeline has no TestTimeAug, which makes the views')
    tta_model = cfg.get('tta_model') or dict(type=_default_model(cfg))
    views = ' x '.join(
        f'({" or ".join(map(_in_words, choices))})'
        for choices in augment[0]['transforms']
        if len(choices) > 1
    )
    hook = dict(type='mmpretrain.TestTimeAugHook', tta_model=tta_model, views=views)
    cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), hook]


def tta_pipeline(pipeline: list[dict]) -> list[dict]:
    """Return a test pipeline of several views: flipped or not, and at two sizes.

    A single ``SquareResize`` is done at its scale and at 8/7 of it (224 and 256 px). Without one
    the views are the two flips.
    """
    steps = [dict(step) for step in copy.deepcopy(list(pipeline))]
    resizes = [i for i, step in enumerate(steps) if _type(step) == 'SquareResize']
    start = resizes[0] if len(resizes) == 1 else len(steps) - 1
    choices = [[step] for step in steps[start:]]
    if len(resizes) == 1:
        (resize,) = choices[0]
        choices[0].append(dict(resize, scale=round(8 / 7 * resize['scale'])))
    flips = [dict(type='RandomFlip', prob=prob, direction='horizontal') for prob in (0.0, 1.0)]
    choices.insert(-1, flips)  # the last step packs
    return [*steps[:start], dict(type='TestTimeAug', transforms=choices)]


def _default_model(cfg: Config) -> str:
    from mmpretrain.models.heads import MultiLabelClsHead  # heavy, and only wanted here

    head = MODELS.get(cfg.model.head.type)
    return 'MultiLabelTTA' if issubclass(head, MultiLabelClsHead) else 'AverageClsScoreTTA'


def _type(step: dict) -> str:
    return str(step['type']).rpartition('.')[2]  # without the scope


def _in_words(step: dict) -> str:
    arguments = ', '.join(f'{key}={value}' for key, value in step.items() if key != 'type')
    return f'{_type(step)}({arguments})'
