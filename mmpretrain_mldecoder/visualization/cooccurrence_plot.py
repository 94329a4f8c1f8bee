"""Which labels come together, as a heat map."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from .label_plots import short_name
from .save_figure import save_figure

MAX_CLASSES = 100  # that are all shown
MOST_FREQUENT = 40  # of more
DPI = 110


def classes_to_plot(counts: np.ndarray) -> np.ndarray:
    """Return the labels of a heat map: all with a picture, or of over 100 the 40 most frequent.

    Args:
        counts (np.ndarray): ``(C,)`` pictures that have each label.
    """
    order = np.argsort(-counts, kind='stable')
    order = order[counts[order] > 0]
    return np.sort(order if len(order) <= MAX_CLASSES else order[:MOST_FREQUENT])


def plot_cooccurrence(
    names: Sequence[str], together: np.ndarray, split: str, num_classes: int, out: str | os.PathLike
) -> Path:
    """Draw, for each label (row), the share of its pictures that have another one (column) too.

    Labels that come together stand together.

    Args:
        names: K names.
        together (np.ndarray): ``(K, K)`` pictures that have both, as ``LabelLists.together``
            gives them; the diagonal is not 0.
        split (str): What was counted.
        num_classes (int): Of the dataset; more than K if some are left out.
        out (str | PathLike): The PNG to write; it appears when it is complete.

    Returns:
        Path: ``out``.
    """
    counts = together.diagonal()
    share = together / counts[:, None]
    order = order_by_similarity(together / np.sqrt(np.outer(counts, counts)))
    shown = share[np.ix_(order, order)]
    np.fill_diagonal(shown, np.nan)
    number = len(order)
    side = 2.2 + 0.16 * max(number, 20)
    figure = Figure(figsize=(side + 0.7, side), dpi=DPI, layout='constrained')
    axes = figure.subplots()
    axes.set_facecolor('white')
    # the square root, because most shares are small
    image = axes.imshow(shown, cmap='viridis', norm=PowerNorm(0.5, 0, 1), aspect='auto')
    size = 6.5 if number > 60 else 7.5
    names = [short_name(name) for name in names]
    rows = [f'{names[i]} ({counts[i]:,})' for i in order]
    axes.set_yticks(range(number), rows, fontsize=size, parse_math=False)
    columns = [names[i] for i in order]
    axes.set_xticks(range(number), columns, fontsize=size, rotation=90, parse_math=False)
    axes.tick_params(length=0)
    if number <= 20:
        for row, column in zip(*np.nonzero(np.isfinite(shown)), strict=True):
            value = shown[row, column]
            color = 'white' if value < 0.3 else 'black'
            text = f'{100 * value:.0f}'
            axes.text(column, row, text, ha='center', va='center', fontsize=6.5, color=color)
    ticks = (0, 0.05, 0.2, 0.4, 0.6, 0.8, 1)
    bar = figure.colorbar(image, ax=axes, shrink=0.6, aspect=30, ticks=ticks)
    bar.ax.set_yticklabels([f'{100 * tick:.0f} %' for tick in ticks], fontsize=8)
    some = '' if number == num_classes else f', {number} of {num_classes:,} labels'
    caption = (
        'Of the pictures with the label of a row (how many), the share that also have that of a '
        f'column\n{split}{some}; labels that come together stand together'
    )
    figure.suptitle(caption, x=0.01, ha='left', fontsize=9)
    return save_figure(figure, out)


def order_by_similarity(similarity: np.ndarray) -> list[int]:
    """Order K things so that similar ones stand together.

    Groups of one are joined two by two, those first that are most similar on average, each joined
    to the other with the ends together that fit best.

    Args:
        similarity (np.ndarray): ``(K, K)``, symmetric; larger is more similar.
    """
    groups = {i: [i] for i in range(len(similarity))}
    between = similarity.astype(np.float64)
    np.fill_diagonal(between, -np.inf)
    while len(groups) > 1:
        a, b = sorted(np.unravel_index(np.argmax(between), between.shape))
        candidates = [
            first + second
            for first in (groups[a], groups[a][::-1])
            for second in (groups[b], groups[b][::-1])
        ]
        cut = len(groups[a])
        merged = max(candidates, key=lambda order: similarity[order[cut - 1], order[cut]])
        sizes = len(groups[a]), len(groups[b])
        mean = (sizes[0] * between[a] + sizes[1] * between[b]) / sum(sizes)
        between[a], between[:, a] = mean, mean
        between[b], between[:, b] = -np.inf, -np.inf
        between[a, a] = -np.inf
        groups[a] = merged
        del groups[b]
    return next(iter(groups.values()), [])
