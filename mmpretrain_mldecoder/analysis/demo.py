"""The demo: data, training, test, predictions and figures on rendered scenes."""

import os
import warnings
from collections.abc import Callable
from pathlib import Path

from mmengine.config import Config
from mmpretrain.registry import DATASETS

from ..apis import MultiLabelInferencer, write_predictions
from ..checkpoints.resume import best_checkpoint, find_resume_checkpoint
from ..datasets.demo_scenes import make_demo_dataset
from ..engine.runners.finished_test import read_finished_test
from ..errors import RunError
from ..visualization import contact_sheet, plot_curves

NUM_PREDICTED = 12
# The asymmetric loss hardly pushes a negative's score below 0.5, so that 0.5 lets many pass; 0.75
# is what the authors' own inference script uses.
THRESHOLD = 0.75


def run_demo(
    config_file: Path,
    data: Path,
    work_dir: Path,
    run_tool: Callable[..., None],
    note: Callable[[str], None],
) -> dict[str, str | Path | None]:
    """Run all steps; return metrics and files by name, for a summary.

    The dataset, a finished training and a test result are reused; an interrupted training continues
    from its newest checkpoint. The dataset lies in ``data``, rendered if it is not there,
    everything else in ``work_dir``. ``run_tool`` runs a tool, given its name and arguments;
    ``note`` is called with a sentence before each step. Raises :class:`RunError` if the training
    left no best checkpoint.
    """
    config = Config.fromfile(config_file)
    roots = {f'{s}_dataloader.dataset.data_root': str(data) for s in ('train', 'val', 'test')}
    config.merge_from_dict(roots)
    options = ['--cfg-options', *(f'{key}={value}' for key, value in roots.items())]
    note('the dataset')
    note(f'{data} is {"written" if make_demo_dataset(data) else "reused"}')

    epochs = config.train_cfg.max_epochs
    if (work_dir / f'epoch_{epochs}.pth').is_file() and best_checkpoint(work_dir):
        note(f'{work_dir} is reused: its {epochs} epochs of training are finished')
    else:
        start = find_resume_checkpoint(work_dir)
        how = f'continuing from {start}' if start else 'a few minutes on 2 CPU cores'
        note(f'training for {epochs} epochs, {how}')
        run_tool('train.py', config_file, '--work-dir', work_dir, '--resume', *options)
    checkpoint = best_checkpoint(work_dir)
    if checkpoint is None:
        raise RunError(f'the training left no best checkpoint: remove {work_dir} and run again')

    folder = work_dir / 'test'
    if read_test_metrics(folder, checkpoint) is None:
        note(f'testing {checkpoint.name}, the best of the training')
        run_tool('test.py', config_file, checkpoint, '--work-dir', folder, *options)
    else:
        note(f'{folder} is reused: it holds the test of {checkpoint.name}')
    metrics = read_test_metrics(folder, checkpoint)

    note(f'predicting {NUM_PREDICTED} validation images: labels scored {THRESHOLD} or more')
    sheet = _predict(config, checkpoint, work_dir)
    return {
        'mAP, EMA weights': f'{metrics["coco/mAP"]:.2f} %',
        'mAP, raw weights': f'{metrics["coco/mAP_raw"]:.2f} %',
        'checkpoint': checkpoint,
        'log': max(work_dir.glob('*/*.log'), default=None),  # of the latest run
        'curves': plot_curves(work_dir, work_dir / 'curves.png'),
        'contact sheet': sheet,
    }


def read_test_metrics(work_dir: str | os.PathLike, checkpoint: str | os.PathLike) -> dict | None:
    """Read the metrics of the latest test, ``test_<time>.json``, such as ``coco/mAP`` in percent.

    None if the checkpoint was not tested yet (a result that is older is that of a predecessor of
    the same name), or the file is damaged, which a warning names.
    """
    path = max(Path(work_dir).glob('test_*.json'), default=None)
    if path is None or path.stat().st_mtime < Path(checkpoint).stat().st_mtime:
        return None
    try:
        return read_finished_test(path).metrics
    except ValueError as error:
        warnings.warn(str(error), stacklevel=2)
        return None


def _predict(config: Config, checkpoint: Path, out: Path) -> Path:
    """Predict the first validation images, and draw them beside the truth."""
    dataset = DATASETS.build(config.val_dataloader.dataset)
    infos = [dataset.get_data_info(i) for i in range(min(NUM_PREDICTED, len(dataset)))]
    images = [info['img_path'] for info in infos]
    truth = [[dataset.metainfo['classes'][i] for i in info['gt_label']] for info in infos]
    predictions = MultiLabelInferencer(config, checkpoint)(images, thr=THRESHOLD)
    write_predictions(predictions, out / 'predictions.jsonl')
    return contact_sheet(images, predictions, out / 'contact_sheet.png', truth=truth)
