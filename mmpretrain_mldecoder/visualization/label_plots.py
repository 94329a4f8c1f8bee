"""Plots of label frequency, labels per image, and co-occurrence: PNGs, written and returned."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from ..fileio.terminal import counted
from .figure import BLUE, DPI, GREEN, ORANGE, save_figure, shorten

# The markers tell the splits apart without colour.
COLORS = (BLUE, ORANGE, GREEN)
MARKERS = ('o', 'D', '^')
MAX_BARS = 120  # classes that are all shown
EXTREMES = 40  # of more classes, the most and the least frequent
BARS_A_COLUMN = 40
MAX_NAME = 24
MAX_CLASSES = 100  # that a heat map shows all
MOST_FREQUENT = 40  # of more


def plot_label_counts(
    classes: Sequence[str], counts: Mapping[str, np.ndarray], out: str | os.PathLike
) -> Path:
    """Draw the number of images of each class: bars for the first split, marks for the others.

    Up to 120 classes are all shown, the most frequent first. Of more, a curve of the counts by
    rank, and the 40 most and the 40 least frequent that the first split has at all.
    ``counts`` has the images of each class, ``(C,)``, for each split.
    """
    first = next(iter(counts))
    order = np.argsort(-counts[first], kind='stable')
    if len(classes) <= MAX_BARS:
        parts = np.array_split(order, max(1, -(-len(order) // BARS_A_COLUMN)))
        titles, heights = [''] * len(parts), []
    else:
        present = order[counts[first][order] > 0]
        parts = [order[:EXTREMES], present[-EXTREMES:]]
        titles = [f'most frequent in {first}', f'least frequent that {first} has']
        heights = [3.4]
    heights.append(0.175 * max(map(len, parts)) + 0.6)
    size = (max(7.0, 5.2 * len(parts)), sum(heights) + 0.5)
    figure = Figure(figsize=size, dpi=DPI, layout='constrained')
    panels = figure.add_gridspec(len(heights), len(parts), height_ratios=heights)
    if len(heights) > 1:
        _plot_ranks(figure.add_subplot(panels[0, :]), counts)
    largest = max(int(values.max(initial=1)) for values in counts.values())
    for column, (part, title) in enumerate(zip(parts, titles, strict=True)):
        axes = figure.add_subplot(panels[-1, column])
        _plot_bars(axes, [classes[i] for i in part], {s: counts[s][part] for s in counts}, largest)
        axes.set_title(title, fontsize=9)
    handles, names = figure.axes[-1].get_legend_handles_labels()
    named = dict(zip(names, handles, strict=True))
    style = dict(ncols=len(counts), frameon=False, fontsize=9)
    figure.legend([named[s] for s in counts], list(counts), loc='outside lower center', **style)
    others = ''.join(f' / {name}' for name in list(counts)[1:])
    caption = f'Images that have each label (numbers: {first}{others}; logarithmic axis; × is none)'
    figure.suptitle(caption, x=0.01, ha='left', fontsize=10)
    return save_figure(figure, out)


def _plot_bars(
    axes: Axes, names: Sequence[str], counts: Mapping[str, np.ndarray], largest: int
) -> None:
    rows = np.arange(len(names))
    for number, (split, values) in enumerate(counts.items()):
        color, some = COLORS[number], values > 0
        if number == 0:
            lengths = np.where(some, values, 0.5)
            axes.barh(rows, lengths, color=color, alpha=0.55, label=split)
        else:
            style = dict(color=color, marker=MARKERS[number - 1], ms=4, ls='none', label=split)
            axes.plot(values[some], rows[some], **style)
        none = 0.56 * 1.25**number  # beside each other
        axes.plot(np.full((~some).sum(), none), rows[~some], 'x', color=color, ms=4, mew=1.3)
    for row in rows:
        text = ' / '.join(f'{values[row]:,}' for values in counts.values())
        axes.text(1.01, row, text, fontsize=6.5, va='center', transform=axes.get_yaxis_transform())
    axes.set(xscale='log', xlim=(0.5, largest * 1.3), ylim=(len(names) - 0.4, -0.6))
    names = [shorten(name, MAX_NAME) for name in names]
    axes.set_yticks(rows, names, fontsize=7.5, parse_math=False)
    axes.xaxis.set_major_formatter('{x:,.0f}')
    axes.tick_params(axis='y', length=0)
    axes.tick_params(axis='x', labelsize=8)
    axes.grid(axis='x', alpha=0.3)
    axes.spines[['top', 'right']].set_visible(False)


def _plot_ranks(axes: Axes, counts: Mapping[str, np.ndarray]) -> None:
    for number, (split, values) in enumerate(counts.items()):
        ordered = np.sort(values[values > 0])[::-1]
        label = f'{split}: {len(ordered):,} of {len(values):,} classes have an image'
        style = dict(color=COLORS[number], ls=('-', '--', ':')[number], lw=2)
        axes.plot(np.arange(1, len(ordered) + 1), ordered, label=label, **style)
    axes.set(xscale='log', yscale='log', ylabel='images')
    axes.set_xlabel('rank of the class, by its number of images in that split')
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)


def plot_labels_per_image(numbers: Mapping[str, np.ndarray], out: str | os.PathLike) -> Path:
    """Draw the share of images that have 0, 1, 2, ... labels, for each split.

    ``numbers`` has those of each image, ``(N,)``, for each split. Those beyond the 99.5th
    percentile share the last bar.
    """
    last = max(int(np.percentile(values, 99.5, method='higher')) for values in numbers.values())
    is_cut = any(values.max() > last for values in numbers.values())
    figure = Figure(figsize=(8, 3.8), dpi=DPI, layout='constrained')
    axes = figure.subplots()
    width = 0.8 / len(numbers)
    for number, (split, values) in enumerate(numbers.items()):
        shares = 100 * np.bincount(np.minimum(values, last), minlength=last + 1) / len(values)
        x = np.arange(last + 1) + (number - (len(numbers) - 1) / 2) * width
        label = f'{split}: {counted(len(values), "image")}, {values.mean():.2f} labels on average'
        style = dict(hatch=('', '///', '...')[number], edgecolor='white', lw=0)
        axes.bar(x, shares, width, color=COLORS[number], label=label, **style)
    ticks = range(0, last + 1, max(1, last // 25))
    axes.set_xticks(ticks, [f'≥{tick}' if is_cut and tick == last else tick for tick in ticks])
    axes.set(xlabel='labels of an image', ylabel='% of the images of the split')
    figure.suptitle('How many labels an image has', x=0.01, ha='left', fontsize=10)
    axes.spines[['top', 'right']].set_visible(False)
    axes.grid(axis='y', alpha=0.3)
    axes.set_axisbelow(True)
    place = dict(loc='lower left', bbox_to_anchor=(0, 1), ncols=len(numbers))
    axes.legend(fontsize=9, frameon=False, **place)
    return save_figure(figure, out)


def classes_to_plot(counts: np.ndarray) -> np.ndarray:
    """Return the labels of a heat map, by their images ``(C,)``: all, of over 100 the first 40."""
    order = np.argsort(-counts, kind='stable')
    order = order[counts[order] > 0]
    return np.sort(order if len(order) <= MAX_CLASSES else order[:MOST_FREQUENT])


def plot_cooccurrence(
    names: Sequence[str], together: np.ndarray, split: str, num_classes: int, out: str | os.PathLike
) -> Path:
    """Draw, for each label (row), the share of its images that have another one (column) too.

    Labels that come together stand together. ``together``, ``(K, K)``, are images that have both
    of K names; the diagonal is not 0. The dataset has ``num_classes``, of which some may be left
    out.
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
    names = [shorten(name, MAX_NAME) for name in names]
    rows = [f'{names[i]} ({counts[i]:,})' for i in order]
    axes.set_yticks(range(number), rows, fontsize=size, parse_math=False)
    columns = [names[i] for i in order]
    axes.set_xticks(range(number), columns, fontsize=size, rotation=90, parse_math=False)
    axes.tick_params(length=0)
    if number <= 20:
        for row, column in zip(*np.nonzero(np.isfinite(shown)), strict=True):
            value = shown[row, column]
            style = dict(ha='center', va='center', fontsize=6.5)
            color = 'white' if value < 0.3 else 'black'
            axes.text(column, row, f'{100 * value:.0f}', color=color, **style)
    ticks = (0, 0.05, 0.2, 0.4, 0.6, 0.8, 1)
    percent = PercentFormatter(1, decimals=0)
    bar = figure.colorbar(image, ax=axes, shrink=0.6, aspect=30, ticks=ticks, format=percent)
    bar.ax.tick_params(labelsize=8)
    some = '' if number == num_classes else f', {number} of {num_classes:,} labels'
    caption = (
        'Of the images with the label of a row (how many), the share that also have that of a '
        f'column\n{split}{some}; labels that come together stand together'
    )
    figure.suptitle(caption, x=0.01, ha='left', fontsize=9)
    return save_figure(figure, out)


def order_by_similarity(similarity: np.ndarray) -> list[int]:
    """Order K things by their similarity ``(K, K)``, at least 0: each before the most similar."""
    order = [int(similarity.sum(axis=1).argmax())]
    is_left = np.ones(len(similarity), bool)
    for _ in similarity[1:]:
        is_left[order[-1]] = False
        order.append(int(np.where(is_left, similarity[order[-1]], -1).argmax()))
    return order
