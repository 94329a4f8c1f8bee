"""How often each class is present, for losses of labels that are not all known."""

import json
import os

import torch
from mmengine.config import Config

from ..checkpoints.restricted_pickle import read_predictions
from ..fileio.atomic_write import write_file
from ..fileio.terminal import counted
from .trained_model import dataset_class_names


def write_class_prior(
    predictions: str | os.PathLike, config: str | os.PathLike, out: str | os.PathLike
) -> dict[str, float]:
    """Write the mean predicted probability of each class, for ``SelectiveAsymmetricLoss(prior=)``.

    It estimates how often a class is present where many labels are unknown, so the predictions are
    to be of the training images, by a model that was trained without the unknown labels.

    Source: Ben-Baruch et al., arXiv:2110.10955, where it is the mean over all epochs of such a
    training; here it is that of one test of its weights.

    ``predictions`` is a file of ``tools/test.py --out``, ``config`` the one that it was made with;
    the class names are those of its test dataset. The JSON file ``out`` has class name and
    probability, which are also returned.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If the predictions are damaged, of another number of classes, or no
            probabilities.
    """
    scores = torch.stack(
        [sample['pred_score'].double() for sample in read_predictions(predictions)]
    )
    names = dataset_class_names(Config.fromfile(config).test_dataloader.dataset)
    if len(names) != scores.shape[1]:
        raise ValueError(
            f'{predictions} has {counted(scores.shape[1], "score")} per image, and the test '
            f'dataset of {config} {counted(len(names), "class")}: they are of another config'
        )
    if not ((scores >= 0) & (scores <= 1)).all():  # nan compares false
        raise ValueError(f'{predictions} has scores that are no probabilities, in [0, 1]')
    prior = dict(zip(names, scores.mean(0).tolist(), strict=True))
    write_file(out, json.dumps(prior, ensure_ascii=False, indent=1))
    return prior
