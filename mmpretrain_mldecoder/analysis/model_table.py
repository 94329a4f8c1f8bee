"""Result tables from configs, metafiles and finished tests: their rows, and Markdown of them."""

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path, PurePath
from typing import NamedTuple

import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmpretrain.registry import MODELS
from modelindex.load_model_index import load
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from ..engine.runners.finished_test import FinishedTest, read_finished_test, settings_digest
from ..fileio.atomic_write import write_file
from ..fileio.terminal import quiet

# Images of the full split that a number of the dataset is of. Of COCO 2014 the authors' configs
# leave out the 367 without labels. OpenImages has no split of a size that is known here.
FULL_SPLITS = {'ImageNet-1k': 50_000, 'COCO 2017': 5_000, 'COCO 2014': 40_137}


class ModelCost(NamedTuple):
    """Learnable parameters, and the FLOPs of one image, a multiply-add as 2."""

    parameters: int
    flops: int


@dataclass(frozen=True)
class TableRow:
    """One config and what its metafile says.

    ``published`` has ``mAP`` or ``Top 1`` and other numbers as the source prints them, and
    ``Source``, a text for each language.
    """

    name: str  # of the model, as get_model takes it
    label: str  # rows with the same backbone and weights share it
    dataset: str  # what the row's number is of
    weights: str | None  # published ones of the whole model
    published: Mapping
    path: Path  # the config's file, in configs/<folder>/
    cfg: Config  # its content

    @property
    def metric(self) -> str:
        """Name of the row's number among the published ones."""
        return 'Top 1' if self.dataset == 'ImageNet-1k' else 'mAP'

    @cached_property
    def cost(self) -> ModelCost:
        """Parameters and FLOPs of the model, at the image size of the test."""
        return model_cost(self.cfg, image_side(self.cfg))

    def measured(self, test: FinishedTest) -> float | None:
        """Return the row's number of a test, in the unit of the published ones; None if absent."""
        if self.metric == 'mAP':
            return test.metrics.get('coco/mAP')
        percent = test.metrics.get('accuracy/top1')
        return None if percent is None else percent / 100


def read_rows(model_index: Path) -> list[TableRow]:
    """Read all rows of ``model-index.yml``, in its order; ``configs`` lies beside it."""
    return [
        TableRow(
            name=model.name,
            label=model.metadata.data['Row'],
            dataset=model.results[0].dataset,
            weights=model.weights,
            published=model.metadata.data.get('Published', {}),
            path=model_index.parent / model.config,
            cfg=Config.fromfile(model_index.parent / model.config),
        )
        for model in load(str(model_index)).models
    ]


def newest_results(
    rows: list[TableRow], folder: Path, note: Callable[[str], None]
) -> dict[str, FinishedTest]:
    """Find the newest finished test of each row, by the name of the row.

    A test belongs to a row if folder and name of its config and its settings (model, preprocessing,
    metric) are the row's, and it covers the full split, without test-time augmentation. All
    ``test_*.json`` below the folder are read; ``note`` is called with the reason for each that is
    left out.
    """
    by_config = {row.path.parts[-2:]: row for row in rows}
    newest = {}
    for path in sorted(folder.rglob('test_*.json')):
        try:
            test = read_finished_test(path)
        except ValueError as error:
            note(f'left out: {error}')
            continue
        row = by_config.get(PurePath(test.config).parts[-2:])
        reason = 'its config is that of no row' if row is None else _reason_to_refuse(row, test)
        if reason:
            note(f'left out: {path} ({test.config}): {reason}')
        elif row.name not in newest or newest[row.name].date < test.date:
            newest[row.name] = test
    return newest


def _reason_to_refuse(row: TableRow, test: FinishedTest) -> str | None:
    full = FULL_SPLITS.get(row.dataset)
    if test.images != full:
        known = f'{row.dataset} has {full:,}' if full else f'that of {row.dataset} is not known'
        return f'{test.images:,} images were tested, not the full split: {known}'
    if test.tta:
        return 'it is with test-time augmentation, and the tables are without'
    if test.settings != settings_digest(row.cfg):
        return 'model, preprocessing or metric are not those of the config'
    if row.measured(test) is None:
        return f'it has no {row.metric}'
    return None


def image_side(cfg: Config) -> int:
    """Return the side in pixels of the squares that the config's test pipeline makes."""
    for step in reversed(cfg.test_dataloader.dataset.pipeline):
        if step['type'] in ('SquareResize', 'CenterCrop'):
            return step['scale' if step['type'] == 'SquareResize' else 'crop_size']
    raise ValueError(f'{cfg.filename}: the test pipeline has no SquareResize and no CenterCrop')


def model_cost(cfg: Config, side: int) -> ModelCost:
    """Count the learnable parameters and the FLOPs of a config's model on an image of a side.

    The model is built without weights. FLOPs are those of the operations that
    ``torch.utils.flop_counter`` knows: convolutions and matrix products, attention included. Raises
    ``RuntimeError`` if the model needs timm, and it is not installed.
    """
    model = cfg.model.to_dict()
    model['backbone'].pop('init_cfg', None)  # the weights that a training starts from
    model.pop('train_cfg', None)  # mixup costs nothing at test time
    return _cost(json.dumps(model, sort_keys=True), side)


@cache  # many rows differ in their weights only
def _cost(model_config: str, side: int) -> ModelCost:
    # The lines of the log on standard output would be among the tables.
    with quiet(MMLogger.get_current_instance()), _EmptyOnMeta():
        model = MODELS.build(json.loads(model_config)).eval().to('meta')  # shapes are enough
    parameters = sum(p.numel() for p in model.parameters() if p.requires_grad)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(torch.empty(1, 3, side, side, device='meta'))
    return ModelCost(parameters, counter.get_total_flops())


class _EmptyOnMeta(TorchFunctionMode):
    """Make new weights without memory, so that no time goes into their initialisation.

    All other tensors are as usual: the host's backbones read numbers from some (``.item()``).
    """

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        return func(*args, **(kwargs | dict(device='meta') if func is torch.empty else kwargs))


# ---- Markdown

LANGUAGES = ('en', 'zh')

TITLES = {
    'imagenet': ('Backbones on ImageNet-1k', 'ImageNet-1k 上的骨干网络'),
    'coco': ('COCO 2017', 'COCO 2017'),
    'variants': ('COCO 2017, other recipes', 'COCO 2017，其他配方'),
    'zoo': (
        "The authors' model zoo: COCO 2014 and OpenImages",
        '作者的模型库：COCO 2014 与 OpenImages',
    ),
}
"""Headings by table, in each language."""

WORDS = {
    'model': ('model', '模型'),
    'head': ('head', '分类头'),
    'config': ('config', '配置'),
    'weights': ('weights', '权重'),
    'dataset': ('dataset', '数据集'),
    'recipe': ('recipe', '配方'),
    'input': ('input', '输入'),
    'published_params': ('params (M), published', '参数量 (M)，公布值'),
    'params': ('params (M)', '参数量 (M)'),
    'published_flops': ('FLOPs (G), published', 'FLOPs (G)，公布值'),
    'flops': ('FLOPs (G)', 'FLOPs (G)'),
    'published': ('{metric}, published', '{metric}，公布值'),
    'ours': ('{metric}, ours', '{metric}，本仓库'),
    'linear': ('GAP + linear', 'GAP + 线性层'),
    'queries': ('ML-Decoder, {} queries', 'ML-Decoder，{} 个查询'),
    'evaluation': ('evaluation only', '仅评测'),
    'epochs': ('{}, {}, {} epochs', '{}，{}，{} 轮'),
    'cosine': ('cosine', '余弦'),
    'steps': ('steps', '分段'),
    'unverified': ('{} (unverified)', '{}（未经验证）'),
    'measured': ('{} ({})', '{}（{}）'),
    'ema': ('EMA', 'EMA'),
    'raw': ('raw', '原始权重'),
    'downloaded': ('published weights', '公布的权重'),
    'single': ('one set of weights', '单一权重'),
    'and': (', ', '，'),
    'sources': ('Sources of the published numbers: {}.', '公布值的出处：{}。'),
    'source': ('{}: {}', '{}：{}'),
    'next': ('; ', '；'),
}
"""Words of the tables, in each language."""

_COCO = ('model', 'head', 'config', 'recipe', 'input', 'params', 'flops', 'published', 'ours')
TABLES = {
    'imagenet': (
        *('model', 'config', 'weights', 'recipe', 'input', 'published_params', 'params'),
        *('published_flops', 'flops', 'published', 'ours'),
    ),
    'coco': _COCO,
    'variants': (*_COCO[:3], 'weights', *_COCO[3:]),
    'zoo': (
        *('model', 'head', 'config', 'weights', 'dataset', 'input', 'params', 'flops'),
        *('published', 'ours'),
    ),
}
"""Names of the tables, and their columns."""


def table_of(row: TableRow) -> str:
    """Return the name of the table that a row stands in."""
    if row.dataset == 'ImageNet-1k':
        return 'imagenet'
    if row.dataset == 'COCO 2017':
        return 'variants' if '-' in row.path.stem else 'coco'  # a deviation from the recipe
    return 'zoo'


def markdown_table(
    name: str,
    language: str,
    rows: list[TableRow],
    results: Mapping[str, FinishedTest],
    folder: Path,
) -> str:
    """Format one table with its heading, and a line with the sources of what is published.

    Rows with the same label follow each other, in the order of the model index; one without a
    finished test in ``results``, by name, gets ``-``. Links to the configs lead from ``folder``.
    Raises ``ValueError`` unless the name is of ``TABLES`` and the language of ``LANGUAGES``.
    """
    if name not in TABLES or language not in LANGUAGES:
        raise ValueError(
            f'no table {name!r} in {language!r}: the tables are {", ".join(TABLES)}, '
            f'the languages {", ".join(LANGUAGES)}'
        )
    place = LANGUAGES.index(language)
    words = {key: translations[place] for key, translations in WORDS.items()}
    labels = [row.label for row in rows]
    rows = [row for row in rows if table_of(row) == name]
    rows.sort(key=lambda row: labels.index(row.label))
    metric = 'top-1' if name == 'imagenet' else 'mAP'
    header = [words[column].format(metric=metric) for column in TABLES[name]]
    cells = [_cells(row, words, results.get(row.name), folder) for row in rows]
    lines = [[row_cells[column] for column in TABLES[name]] for row_cells in cells]
    lines = [header, ['---'] * len(header), *lines]
    table = '\n'.join(f'| {" | ".join(line)} |' for line in lines)
    return f'### {TITLES[name][place]}\n\n{table}\n\n{_sources(rows, language, words)}\n'


def _cells(
    row: TableRow, words: dict[str, str], test: FinishedTest | None, folder: Path
) -> dict[str, str]:
    link = Path(os.path.relpath(row.path, folder)).as_posix()
    published = row.published.get(row.metric, '-')
    if row.published.get('Unverified'):
        published = words['unverified'].format(published)
    return {
        'model': row.label,
        'head': _head(row, words),
        'config': f'[{row.path.stem}]({link})',
        'weights': f'`{row.weights}`' if row.weights else '-',
        'dataset': row.dataset,
        'recipe': _recipe(row, words),
        'input': str(image_side(row.cfg)),
        'published_params': row.published.get('Parameters (M)', '-'),
        'params': f'{row.cost.parameters / 1e6:.3f}',
        'published_flops': row.published.get('FLOPs (G)', '-'),
        'flops': f'{row.cost.flops / 1e9:.3f}',
        'published': published,
        'ours': '-' if test is None else _ours(row, words, test),
    }


def _head(row: TableRow, words: dict) -> str:
    head = row.cfg.model.head
    if head.type != 'MLDecoderHead':
        return words['linear']
    full = head.num_groups == head.num_classes
    return 'ML-Decoder' if full else words['queries'].format(head.num_groups)


def _recipe(row: TableRow, words: dict) -> str:
    if row.cfg.get('train_cfg') is None:
        return words['evaluation']
    schedulers = row.cfg.param_scheduler
    last = (schedulers[-1] if isinstance(schedulers, list | tuple) else schedulers)['type']
    schedule = dict(
        PlainOneCycleLR='OneCycle', CosineAnnealingLR=words['cosine'], MultiStepLR=words['steps']
    )[last]
    optimizer, epochs = row.cfg.optim_wrapper.optimizer.type, row.cfg.train_cfg.max_epochs
    return words['epochs'].format(optimizer, schedule, epochs)


def _ours(row: TableRow, words: dict, test: FinishedTest) -> str:
    number = f'{row.measured(test):{".2f" if row.metric == "mAP" else ".3f"}}'
    downloaded = test.weights == 'single' and '://' in test.checkpoint
    weights = words['downloaded' if downloaded else test.weights]
    return words['measured'].format(number, f'{weights}{words["and"]}{test.date.date()}')


def _sources(rows: list[TableRow], language: str, words: dict[str, str]) -> str:
    numbers = {}
    for row in rows:
        if row.published:
            source = row.published['Source'][language]
            numbers.setdefault(source, []).append(row.published[row.metric])
    if len(numbers) == 1:
        return words['sources'].format(*numbers)
    parts = [words['source'].format(words['and'].join(n), source) for source, n in numbers.items()]
    return words['sources'].format(words['next'].join(parts))


def replace_tables(text: str, marker: str, table: Callable[[str, str], str]) -> str:
    """Replace the tables of a page, and leave all else as it is.

    A table stands between the lines ``<!-- MARKER: begin NAME KIND -->`` and ``<!-- MARKER: end
    -->``; ``table`` gets name and kind, and returns the new one. Raises ``ValueError`` without such
    lines.
    """
    text, count = re.subn(
        rf'(<!-- {marker}: begin (\S+) (\S+) -->\n).*?(<!-- {marker}: end -->)',
        lambda found: found[1] + table(found[2], found[3]) + found[4],
        text,
        flags=re.S,
    )
    if not count:
        raise ValueError(f'it has no line <!-- {marker}: begin NAME KIND -->')
    return text


def update_page(page: Path, marker: str, table: Callable[[str, str], str]) -> None:
    """Replace the tables of a Markdown file, see :func:`replace_tables`."""
    write_file(page, replace_tables(page.read_text(encoding='utf-8'), marker, table))
