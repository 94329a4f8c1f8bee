"""Test several views of each image, and average their scores."""

import copy

from mmengine.config import Config
from mmengine.hooks import Hook
from mmpretrain.registry import HOOKS, MODELS

LARGER = 8 / 7  # 256 px beside 224


@HOOKS.register_module()
class TestTimeAugHook(Hook):
    """Put a model of test-time augmentation around the model for the time of a test.

    The weights are loaded, and averaged, into the model itself, so that whatever looks for them by
    name finds them. (MMPretrain's own tool builds the wrapper in the place of the model.)

    Args:
        tta_model (dict): Config of a ``BaseTTAModel`` without its ``module``.
    """

    __test__ = False  # not a test, whatever its name looks like to pytest

    def __init__(self, tta_model: dict):
        self.tta_model = tta_model

    def before_test(self, runner) -> None:
        self.plain_model = runner.model
        runner.model = MODELS.build(dict(self.tta_model, module=runner.model))

    def after_test(self, runner) -> None:
        runner.model = self.plain_model


def apply_tta(cfg: Config) -> str:
    """Make the test of a config one with test-time augmentation.

    A config may have its own ``tta_model`` and ``tta_pipeline``, as MMPretrain's have. Without
    them, see :func:`tta_pipeline`; the scores are then averaged.

    Args:
        cfg (Config): With a ``test_dataloader``; changed in place.

    Returns:
        str: The views, in words.

    Raises:
        ValueError: If the test dataset has no pipeline of its own, or ``tta_pipeline`` no
            ``TestTimeAug``.
    """
    dataset = cfg.test_dataloader.dataset
    if 'pipeline' not in dataset:
        raise ValueError(
            f'the test dataset {dataset.get("type")} has no pipeline of its own to augment: bring '
            'the views with a dataset that has'
        )
    dataset.pipeline = cfg.get('tta_pipeline') or tta_pipeline(dataset.pipeline)
    augment = [step for step in dataset.pipeline if step['type'] == 'TestTimeAug']
    if not augment:
        raise ValueError('tta_pipeline has no TestTimeAug, which makes the views')
    tta_model = cfg.get('tta_model') or dict(type=_default_model(cfg))
    hook = dict(type='mmpretrain.TestTimeAugHook', tta_model=tta_model)
    cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), hook]
    return ' x '.join(
        '(' + ' or '.join(map(_in_words, choices)) + ')'
        for choices in augment[0]['transforms']
        if len(choices) > 1
    )


def tta_pipeline(pipeline: list[dict]) -> list[dict]:
    """Return a pipeline of several views: as it is and flipped, at two sizes where there is one.

    Each image is flipped from left to right or not. A single ``SquareResize`` is done at its
    scale and at 8/7 of it (224 and 256 px): four views. Without it there are two.

    Args:
        pipeline (list[dict]): The test pipeline. It is not changed.
    """
    steps = [dict(step) for step in copy.deepcopy(list(pipeline))]
    resizes = [i for i, step in enumerate(steps) if step['type'] == 'SquareResize']
    start = resizes[0] if len(resizes) == 1 else len(steps) - 1
    choices = [[step] for step in steps[start:]]
    if len(resizes) == 1:
        (resize,) = choices[0]
        choices[0].append(dict(resize, scale=round(LARGER * resize['scale'])))
    flips = [dict(type='RandomFlip', prob=prob, direction='horizontal') for prob in (0.0, 1.0)]
    choices.insert(-1, flips)  # the last step packs
    return [*steps[:start], dict(type='TestTimeAug', transforms=choices)]


def _default_model(cfg: Config) -> str:
    from mmpretrain.models.heads import MultiLabelClsHead  # heavy, and only wanted here

    head = MODELS.get(cfg.model.head.type)
    return 'MultiLabelTTA' if issubclass(head, MultiLabelClsHead) else 'AverageClsScoreTTA'


def _in_words(step: dict) -> str:
    arguments = ', '.join(f'{key}={value}' for key, value in step.items() if key != 'type')
    return f'{step["type"]}({arguments})'
