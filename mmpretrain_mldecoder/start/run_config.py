"""The config of a run: a shipped row, and values chosen for the data, each with its reason."""

import os
import shutil
import textwrap
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmpretrain.registry import MODELS

import mmpretrain_mldecoder

from ..checkpoints.published import find_published
from ..datasets.label_files import SplitCounts
from ..datasets.label_files.label_table import SPLITS
from ..fileio.terminal import one_line, printable

ROWS = Path(mmpretrain_mldecoder.__file__).parent / '.mim' / 'configs' / 'finetune'
BASE_BATCH = 32  # of the rows
FEW_IMAGES = 5000  # below, those of val are trained on in the end, too
# With fewer images, or fewer for each class, CSRA is as good on frozen features or better; where
# the backbone learns, too, with fewer for each of many classes (docs/results.md#few-photos).
FOR_QUERIES, FOR_A_CLASS = 2000, 100
LEAST_STEPS = 10  # an epoch
PASSES = dict(cpu=10_000, gpu=60_000)  # images that a training sees, within the bounds of epochs
LEAST_EPOCHS, MOST_EPOCHS = 5, 40
MOST_QUERIES = 100
MOST_GIGABYTES = 10  # of feature maps
LABELS, FEATURES = 'labels', 'features'  # folders in that of a run
LEFT_OUT, ABSENT = 'left-out', 'absent'  # what unknown labels are
IMBALANCED = 10  # images of the most frequent class for one of the rarest


@dataclass(frozen=True)
class Choice:
    """A value and why it was chosen."""

    value: object
    reason: str


def choose(
    num_images: int,
    num_classes: int,
    row: str | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
) -> dict[str, Choice]:
    """Choose row, batch size, learning rate, epochs, average and patience.

    ``num_images`` are those of the training split; ``row`` is one of the configs in ``ROWS``,
    without ``.py``. What is None is chosen by the device and these numbers.
    """
    has_gpu = get_device() != 'cpu'
    choices = {}
    choices['row'] = Choice(row, 'as asked for') if row else _row(num_images, num_classes, has_gpu)
    groups = min(num_classes, MOST_QUERIES)
    reason = 'one query a class' if groups == num_classes else f'{MOST_QUERIES} queries share them'
    choices['num_groups'] = Choice(groups, reason)
    if batch_size is None:
        choices['batch_size'] = _batch_size(num_images, str(choices['row'].value), has_gpu)
    else:
        choices['batch_size'] = Choice(batch_size, 'as asked for')
    batch = int(str(choices['batch_size'].value))
    rate = Config.fromfile(ROWS / f'{choices["row"].value}.py').optim_wrapper.optimizer.lr
    reason = f'{rate:g} for {BASE_BATCH} images a step'
    choices['lr'] = Choice(float(f'{rate * batch / BASE_BATCH:.3g}'), reason)
    if epochs is None:
        passes = PASSES['gpu' if has_gpu else 'cpu']
        count = min(max(round(passes / num_images), LEAST_EPOCHS), MOST_EPOCHS)
        reason = f'about {passes:,} images, in {LEAST_EPOCHS} to {MOST_EPOCHS} epochs'
        choices['epochs'] = Choice(count, reason)
    else:
        choices['epochs'] = Choice(epochs, 'as asked for')
    count = int(str(choices['epochs'].value))
    steps = count * -(-num_images // batch)
    averaged = max(steps // 10, 2)
    choices['ema_decay'] = Choice(
        round(1 - 1 / averaged, 4), f'averages {averaged} of {steps} steps'
    )
    choices['patience'] = Choice(max(3, count // 3), 'a third of the epochs without a better mAP')
    choices['log_interval'] = Choice(100 if has_gpu else 10, 'steps')
    choices['num_workers'] = Choice(min(os.cpu_count() or 1, 8), 'one a core, at most 8')
    return choices


def _row(num_images: int, num_classes: int, has_gpu: bool) -> Choice:
    few = num_images < FOR_A_CLASS * num_classes
    few = few and num_classes > MOST_QUERIES if has_gpu else few or num_images < FOR_QUERIES
    head = 'csra' if few else 'mldecoder'
    data = f'{num_images:,} images of {num_classes:,} classes'
    if not has_gpu:
        # More accurate than a smaller network that is fine-tuned, and quicker (docs/results.md).
        return Choice(f'{head}_lite2_frozen', f'no GPU, {data}: the head alone')
    row = f'{head}_r50vd_ssld'
    try:  # before the training needs them
        find_published(Config.fromfile(ROWS / f'{row}.py').model.backbone.init_cfg.checkpoint)
    except OSError as error:
        print(f'- {row} is not trained: {one_line(error)}')
        reason = f'its weights are a package; those of {row} cannot be downloaded'
        return Choice(f'{head}_lite0', reason)
    return Choice(row, f'there is a GPU, {data}')


def _batch_size(num_images: int, row: str, has_gpu: bool) -> Choice:
    batch = BASE_BATCH
    while batch > 8 and num_images < LEAST_STEPS * batch:
        batch //= 2
    reason = (
        'as in the row' if batch == BASE_BATCH else f'smaller, for {LEAST_STEPS} steps an epoch'
    )
    while has_gpu and batch > 1 and not fits_memory(row, batch):
        batch //= 2
        reason = 'more do not fit into the memory of the GPU'
    return Choice(batch, reason)


def fits_memory(row: str, batch_size: int) -> bool:
    """Whether a training step of a row, in half precision, fits into the memory of the GPU."""
    cfg = Config.fromfile(ROWS / f'{row}.py')
    cfg.model.backbone.pop('init_cfg', None)
    side = cfg.train_dataloader.dataset.pipeline[1].scale
    device = get_device()
    try:
        model = MODELS.build(cfg.model).to(device)
        images = torch.rand(batch_size, 3, side, side, device=device)
        with torch.autocast(device, torch.float16):
            model(images, mode='tensor').float().sum().backward()
        # Adam's two averages, and the average of the weights.
        extra = 3 * sum(each.numel() for each in model.parameters())
        torch.empty(extra, device=device)
    except torch.OutOfMemoryError:
        return False
    finally:
        torch.cuda.empty_cache()
    return True


def choose_by_labels(counts: SplitCounts, unknown: str | None = None) -> dict[str, Choice]:
    """Choose what unknown labels are in each split, and whether classes have weights.

    A loss and a metric that leave unknown labels out need negatives. Where positives alone were
    collected, all scores would rise to 1, and there would be no mAP. So by default they are
    ``ABSENT`` in a split where labels known to be absent are not more than those known to be
    present, and not more than the unknown ones; else ``LEFT_OUT``.

    Returns ``unknown_train`` and so on, of the splits with unknown labels, and ``weights`` if the
    classes are imbalanced.
    """
    values: dict[str, str] = {}
    facts: dict[str, list[str]] = {}
    for split, number in counts.images.items():
        present, hidden = int(counts.positives[split].sum()), int(counts.unknown[split].sum())
        absent = number * len(counts.classes) - present - hidden
        if hidden:
            values[split] = unknown or (ABSENT if absent <= min(present, hidden) else LEFT_OUT)
            known = f'{split} (present {present:,}, absent {absent:,}, unknown {hidden:,})'
            facts.setdefault(values[split], []).append(known)
    reasons = {value: _WHY[value].format(', '.join(known)) for value, known in facts.items()}
    choices = {f'unknown_{split}': Choice(value, reasons[value]) for split, value in values.items()}
    positives = counts.positives['train']
    most, least = positives.argmax(), np.where(positives, positives, positives.max() + 1).argmin()
    if positives[most] >= IMBALANCED * positives[least] > 0:
        choices['weights'] = Choice(
            None,
            f'classes have no weights, though {positives[most]:,} images of train show '
            f'{printable(counts.classes[most])!r} and {positives[least]:,} '
            f'{printable(counts.classes[least])!r}: where they were measured they raised no rare '
            'class and cost mAP (docs/imbalance.md); to try them, set '
            "model.head.loss.pos_weight='auto'",
        )
    return choices


_WHY = {
    LEFT_OUT: 'unknown labels are left out of loss and mAP in {}: best where labels are unknown at '
    'random (docs/partial_labels.md; --unknown absent is the other way)',
    ABSENT: 'unknown labels count as absent in {}: without negatives a model learns that '
    'everything is present, and there is no mAP to tell; the mAP is too low by the labels that are '
    'missing (docs/partial_labels.md; --unknown left-out is the other way)',
}


def config_text(
    choices: dict[str, Choice],
    by_labels: dict[str, Choice],
    num_classes: int,
    data: Path,
    run: Path,
) -> str:
    """Return the config of a run, of what :func:`choose` and :func:`choose_by_labels` return."""
    base = ROWS / f'{choices["row"].value}.py'
    model = Config.fromfile(base).model
    text = _TEMPLATE.replace('{head}', _QUERIES if 'num_groups' in model.head else '),')
    frozen = model.backbone.get('frozen', False)
    text = text.replace('{backbone}', _CACHE if frozen else '')
    text = text.replace('{checkpoint}', _LAST if frozen else '')
    text = text.replace('{stopping}', '' if frozen else _STOPPING)
    pipelines = {}
    for split in SPLITS:
        choice = by_labels.get(f'unknown_{split}')
        is_absent = choice is not None and choice.value == ABSENT
        pipelines[f'pipeline_{split}'] = _PIPELINE.format(split=split) if is_absent else ''
    notes = [f'# {reason}' for reason in label_reasons(by_labels)]
    wrapped = [textwrap.fill(note, 100, subsequent_indent='# ') for note in notes]
    return text.format(
        notes='\n'.join(['', *wrapped, *([_ABSENT] if any(pipelines.values()) else [])]),
        **pipelines,
        base=str(base),
        num_classes=num_classes,
        data=str(data.resolve()),
        features=str(run.resolve() / FEATURES),
        gigabytes=max(round(min(shutil.disk_usage(run).free / 2e9, MOST_GIGABYTES), 1), 0.1),
        **{split: str(run.resolve() / LABELS / f'{split}.json') for split in SPLITS},
        **choices,
    )


def label_reasons(by_labels: dict[str, Choice]) -> list[str]:
    """Return the reasons of :func:`choose_by_labels`, each once."""
    return [*dict.fromkeys(choice.reason for choice in by_labels.values())]


def refit_text(labels: Path, best_epoch: int | None) -> str:
    """Return the config of the last training, beside that of the run: on all but the test."""
    epochs = f'train_cfg = dict(max_epochs={best_epoch})  # as many as the best checkpoint had'
    return f"""\
_base_ = './config.py'

train_dataloader = dict(dataset=dict(ann_file={str(labels.resolve())!r}))
{'' if best_epoch is None else epochs}
default_hooks = dict(checkpoint=dict(save_best=None))  # nothing is left to choose it by
"""


_CACHE = """\
    # Feature maps are computed once, and kept meanwhile, on at most half of the free disk.
    backbone=dict(cache_dir={features!r}, cache_gigabytes={gigabytes}),
"""
# The best epoch on few images is mostly chance, and a refit of as many epochs is too short
# (docs/fine_tuning.md#early-stopping).
_LAST = '    checkpoint=dict(save_best=None),  # the last epoch counts: it has the lowest rate\n'
_STOPPING = """\
    # {patience.reason}
    dict(type='EarlyStoppingHook', monitor='coco/mAP', rule='greater', patience={patience.value}),
"""
_QUERIES = ', num_groups={num_groups.value}),  # {num_groups.reason}'
_ABSENT = "absent = dict(type='PackMultiLabelInputs', difficult='negative')"
_PIPELINE = ', pipeline=[*_base_.{split}_dataloader.dataset.pipeline[:-1], absent]'
_TEMPLATE = """\
_base_ = {base!r}  # {row.reason}

num_classes = {num_classes}
data_root = {data!r}{notes}

model = dict(
{backbone}    head=dict(num_classes=num_classes{head}
)
data_preprocessor = dict(num_classes=num_classes)
train_dataloader = dict(
    batch_size={batch_size.value},  # {batch_size.reason}
    num_workers={num_workers.value},  # {num_workers.reason}
    dataset=dict(data_root=data_root, ann_file={train!r}{pipeline_train}),
)
val_dataloader = dict(
    num_workers={num_workers.value},
    dataset=dict(data_root=data_root, ann_file={val!r}{pipeline_val}),
)
test_dataloader = dict(
    num_workers={num_workers.value},
    dataset=dict(data_root=data_root, ann_file={test!r}{pipeline_test}),
)
optim_wrapper = dict(optimizer=dict(lr={lr.value}))  # {lr.reason}
train_cfg = dict(max_epochs={epochs.value})  # {epochs.reason}
default_hooks = dict(
{checkpoint}    logger=dict(interval={log_interval.value}),  # {log_interval.reason}
)
custom_hooks = [
    dict(type='IterSeedHook'),
    dict(type='DualEMAHook', decay={ema_decay.value}),  # {ema_decay.reason}
{stopping}    dict(type='LivePageHook'),
]
"""
