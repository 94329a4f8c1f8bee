"""The mean over classes, and what a class that nobody can score does to it."""

import numpy as np


def class_mean(values: np.ndarray, missing_class: str = 'skip') -> float:
    """Average one value per class; nan marks a class that cannot be scored.

    The choice moves the reported number: with 4 of 5 classes present, each at 0.9, ``'skip'``
    gives 0.90 and ``'zero'`` 0.72.

    Args:
        values (np.ndarray): One number per class, nan where it has no positives or no negatives.
        missing_class (str): ``'skip'`` leaves such classes out, as PaddleClas does; ``'zero'``
            counts them as 0, as the authors of ML-Decoder and MMPretrain do. Defaults to
            ``'skip'``.

    Shape:
        - values: ``(C,)``.

    Returns:
        float: The mean, in the unit of ``values``; nan if no class is left.

    Raises:
        ValueError: If ``missing_class`` is neither ``'skip'`` nor ``'zero'``.
    """
    if missing_class not in ('skip', 'zero'):
        raise ValueError(f"missing_class must be 'skip' or 'zero', got {missing_class!r}.")
    values = np.asarray(values, dtype=np.float64)
    missing = np.isnan(values)
    values = values[~missing] if missing_class == 'skip' else np.where(missing, 0.0, values)
    return float(values.mean()) if values.size else float('nan')
