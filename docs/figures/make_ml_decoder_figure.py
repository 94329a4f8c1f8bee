"""Draw ml_decoder.png, the figure of the head: python docs/figures/make_ml_decoder_figure.py."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle

OUT = Path(__file__).with_name('ml_decoder.png')

INK = '#1f2933'
SOFT = '#616e7c'
MAP = '#d9e2ec'
MEMORY = '#b3d4ee'
BLOCK = '#fff4d6'
BLOCK_EDGE = '#c99700'
GROUP = '#8a6800'
QUERIES = ('#0072b2', '#d55e00', '#009e73', '#cc79a7')  # one colour a query
GROUP_SIZE = 3
NUM_CLASSES = 11  # one less than 4 x 3: the last output is surplus

MAIN = 15.0  # height of the lane of the queries
TOP = 47.0  # height of the lane of the feature map
BAR_HEIGHT, BAR_STEP = 3.0, 5.4


def text(ax: Axes, x: float, y: float, words: str, size: float = 13, **kwargs) -> None:
    """Words centred at ``(x, y)``."""
    kwargs = dict(ha='center', va='center', color=INK) | kwargs
    ax.text(x, y, words, fontsize=size, **kwargs)


def shape(ax: Axes, x: float, y: float, words: str) -> None:
    """The shape of a tensor."""
    text(ax, x, y, words, size=12, family='monospace', color='#52606d')


def arrow(ax: Axes, start: tuple, end: tuple, color: str = INK) -> None:
    """A straight arrow."""
    ax.add_patch(
        FancyArrowPatch(
            start,
            end,
            arrowstyle='-|>',
            mutation_scale=15,
            color=color,
            lw=1.6,
            shrinkA=0,
            shrinkB=0,
        )
    )


def block(ax: Axes, x: float, y: float, width: float, height: float, words: str) -> None:
    """A rounded box centred at ``(x, y)``."""
    ax.add_patch(
        FancyBboxPatch(
            (x - width / 2, y - height / 2),
            width,
            height,
            boxstyle='round,pad=0,rounding_size=1.2',
            fc=BLOCK,
            ec=BLOCK_EDGE,
            lw=1.5,
        )
    )
    text(ax, x, y, words, size=12.5, linespacing=1.35)


def cells(ax: Axes, x: float, y: float, columns: int, rows: int, side: float, color: str) -> None:
    """A grid of squares whose lower left corner is ``(x, y)``."""
    for column in range(columns):
        for row in range(rows):
            corner = (x + column * side, y + row * side)
            ax.add_patch(Rectangle(corner, side, side, fc=color, ec='white', lw=1.2))


def bars(ax: Axes, x: float, width: float) -> list[float]:
    """One bar a query, the first on top; returns their heights in the image."""
    heights = [MAIN + (1.5 - i) * BAR_STEP for i in range(len(QUERIES))]
    for height, color in zip(heights, QUERIES, strict=True):
        corner = (x, height - BAR_HEIGHT / 2)
        ax.add_patch(Rectangle(corner, width, BAR_HEIGHT, fc=color, ec='none'))
    return heights


def draw_memory(ax: Axes) -> None:
    """The upper lane: feature map, tokens, projection, memory."""
    for offset in (2.0, 1.0, 0.0):  # the channels, as sheets behind each other
        cells(ax, 3 + offset, TOP - 6 + offset, 4, 4, 3.0, MAP)
    text(ax, 10, TOP + 12, 'feature map', weight='bold')
    shape(ax, 10, TOP - 9.5, '(B, 2048, H, W)')
    arrow(ax, (19, TOP), (30, TOP))
    text(ax, 24.5, TOP + 2.2, 'flatten', size=11.5, color=SOFT)

    cells(ax, 31.5, TOP - 1.5, 6, 1, 3.0, MAP)
    text(ax, 40.5, TOP + 12, 'tokens', weight='bold')
    shape(ax, 40.5, TOP - 9.5, '(B, L, 2048), L = H·W')
    arrow(ax, (51, TOP), (57.5, TOP))

    block(ax, 65, TOP, 14, 10, 'projection\nLinear, ReLU')
    arrow(ax, (72.5, TOP), (79, TOP))

    cells(ax, 80.5, TOP - 1.5, 6, 1, 3.0, MEMORY)
    text(ax, 89.5, TOP + 12, 'memory', weight='bold')
    shape(ax, 105.5, TOP, '(B, L, D)')


def draw_queries(ax: Axes) -> None:
    """The left of the lower lane."""
    bars(ax, 4, 18)
    text(ax, 13, MAIN + 13.2, 'queries', weight='bold')
    shape(ax, 13, MAIN - 13, '(K, D)')
    text(ax, 13, MAIN - 16.6, 'N(0, 1), frozen', size=11.5, color=SOFT)
    arrow(ax, (23.5, MAIN), (40.6, MAIN))


def draw_layer(ax: Axes) -> None:
    """The frame in the middle of the lower lane."""
    left, right, low, high = 36.5, 123, MAIN - 14.5, MAIN + 15
    ax.add_patch(
        FancyBboxPatch(
            (left, low),
            right - left,
            high - low,
            boxstyle='round,pad=0,rounding_size=2',
            fc='#f7f9fb',
            ec='#9fb3c8',
            lw=1.4,
            ls=(0, (5, 3)),
            zorder=0,
        )
    )
    text(ax, left + 2.5, low + 2.4, 'decoder layer, no self-attention', 11.5, ha='left', color=SOFT)

    norms, wide = (46, 83, 115.5), (64.5, 99.5)
    for x in norms:
        block(ax, x, MAIN, 10, 12, 'add,\nnorm')
    block(ax, wide[0] - 0.2, MAIN, 17, 12, 'cross-attention\n8 heads')
    block(ax, wide[1] - 0.2, MAIN, 15, 12, 'feed-forward\nD → 2048 → D')
    xs = (51.3, 55.6), (73.1, 77.7), (88.3, 91.5), (107.1, 110.2)
    for start, end in xs:
        arrow(ax, (start, MAIN), (end, MAIN))
    # the residual branches; the first one is the queries' own dropout
    for start, end in ((39.2, norms[0]), (53.3, norms[1]), (89.8, norms[2])):
        y = MAIN - 8.6
        ax.plot([start, start, end, end], [MAIN, y, y, MAIN - 6.6], color=SOFT, lw=1.4)
        arrow(ax, (end, MAIN - 7.0), (end, MAIN - 6.1), color=SOFT)

    x = wide[0] - 0.2
    ax.plot([89.5, 89.5, x], [TOP - 2.2, TOP - 13, TOP - 13], color=INK, lw=1.6)
    arrow(ax, (x, TOP - 13), (x, MAIN + 6.2))
    text(ax, x + 1.5, MAIN + 10.5, 'keys, values', 11.5, ha='left', color=SOFT)


def draw_logits(ax: Axes) -> None:
    """The right of the lower lane: embeddings, group linear, logits."""
    arrow(ax, (120.7, MAIN), (127.2, MAIN))
    heights = bars(ax, 128.6, 11)
    text(ax, 134.1, MAIN + 13.2, 'embeddings', weight='bold')
    shape(ax, 134.1, MAIN - 13, '(B, K, D)')

    for i, (height, color) in enumerate(zip(heights, QUERIES, strict=True)):
        arrow(ax, (140.6, height), (147.8, height), color=color)
        for j in range(GROUP_SIZE):
            surplus = i * GROUP_SIZE + j >= NUM_CLASSES
            ax.add_patch(
                Rectangle(
                    (149 + j * 4.2, height - 1.5),
                    3.4,
                    BAR_HEIGHT,
                    fc='white' if surplus else color,
                    ec=SOFT if surplus else color,
                    ls=':' if surplus else '-',
                    lw=1.4,
                )
            )
    text(ax, 144.2, MAIN + 18.2, 'group linear', weight='bold', color=GROUP)
    arrow(ax, (144.2, MAIN + 16.4), (144.2, MAIN + 9.8), color=GROUP)
    text(ax, 155, MAIN + 13.2, 'logits', weight='bold')
    shape(ax, 155, MAIN - 13, '(B, C)')
    text(ax, 155, MAIN - 16.6, 'sigmoid → scores', size=11.5, color=SOFT)


def draw_notes(ax: Axes) -> None:
    """What K, g and C mean, beside the upper lane."""
    lines = (
        ('Query k answers for g = ⌈C / K⌉ classes in a row.', INK),
        ('Full decoding: K = C, so g = 1.', SOFT),
        ('Group decoding: K < C; 10 queries, 80 classes: g = 8.', SOFT),
        ('The K·g − C surplus outputs (dotted) are dropped.', SOFT),
        ('D = 768; 2048 channels are those of a ResNet-50.', SOFT),
    )
    for i, (line, color) in enumerate(lines):
        text(ax, 115.5, TOP + 12 - 4.2 * i, line, 12, ha='left', color=color)


def main() -> None:
    """Draw the figure beside this file."""
    figure = Figure(figsize=(16.4, 6.3), dpi=100, facecolor='white')
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set(xlim=(0, 164), ylim=(-3.5, 62), aspect='auto')
    ax.axis('off')
    for draw in (draw_memory, draw_queries, draw_layer, draw_logits, draw_notes):
        draw(ax)
    figure.savefig(OUT)


if __name__ == '__main__':
    main()
