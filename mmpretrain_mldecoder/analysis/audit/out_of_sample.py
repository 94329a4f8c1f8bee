"""Scores of images by linear classifiers that were trained on the other folds."""

import numpy as np
import torch
from mmengine.device import get_device
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

LEAST = 5  # known positives, and negatives, to train a class on
STRENGTHS = (1.0, 0.3, 0.1, 0.03, 0.01)  # of the L2 penalty
_STEPS = 60
_SMALL = 10_000_000  # numbers in features, for which one thread is as fast


def out_of_sample_scores(
    features: np.ndarray, targets: np.ndarray, folds: np.ndarray
) -> np.ndarray:
    """Score the images of each fold by logistic regressions on the images of the others.

    There is one per class, on its known labels. One strength of the penalty serves all: from the
    largest on, the next one as long as the loss of the scored images falls.

    Features are ``(N, D)``, targets ``(N, C)`` of 1, 0 and -1 (unknown), and there is the fold of
    each image, ``(N,)``. Returns probabilities ``(N, C)`` float32; NaN where fewer than ``LEAST``
    images of the other folds are known to show, or to lack, the class.
    """
    threads = torch.get_num_threads()
    if features.size <= _SMALL:  # several wait for one another, on a busy machine for minutes
        torch.set_num_threads(1)
    try:
        return _scores(features, targets, folds)
    finally:
        torch.set_num_threads(threads)


def _scores(features: np.ndarray, targets: np.ndarray, folds: np.ndarray) -> np.ndarray:
    device = get_device()
    x = torch.from_numpy(features).to(device)
    y = torch.from_numpy(targets).to(device, torch.float32)
    of_image = torch.from_numpy(folds).to(device)
    best, least = torch.full_like(y, torch.nan), float('inf')
    for strength in STRENGTHS:
        logits = torch.empty_like(y)
        for fold in np.unique(folds).tolist():
            inside = of_image == fold
            logits[inside] = _predict(x[~inside], y[~inside], x[inside], strength)
        loss = float(_loss(logits, y))
        if loss >= least:
            break
        best, least = logits, loss
    scores = best.sigmoid()
    for fold in np.unique(folds).tolist():
        rest = y[of_image != fold]
        is_judged = ((rest == 1).sum(0) >= LEAST) & ((rest == 0).sum(0) >= LEAST)
        scores[of_image == fold] = torch.where(is_judged, scores[of_image == fold], torch.nan)
    return scores.cpu().numpy()


def _loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the sum over the known labels divided by the number of images."""
    losses = binary_cross_entropy_with_logits(logits, targets.clamp(min=0), reduction='none')
    return (losses * (targets >= 0)).sum() / len(targets)


def _predict(images: Tensor, targets: Tensor, others: Tensor, strength: float) -> Tensor:
    """Train on features and targets of images, and return the logits of others."""
    std, mean = torch.std_mean(images, dim=0)
    train, test = ((part - mean) / (std + 1e-6) for part in (images, others))
    shape, device = (targets.shape[1], images.shape[1]), images.device
    weight = torch.zeros(shape, device=device, requires_grad=True)
    bias = torch.zeros(shape[0], device=device, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weight, bias], max_iter=_STEPS, history_size=10, line_search_fn='strong_wolfe'
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = _loss(train @ weight.T + bias, targets) + strength * weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    return (test @ weight.T + bias).detach()
