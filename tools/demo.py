"""The whole way on rendered images: data, training, test, predictions, drawings (make demo).

What is there already is reused: the dataset, a finished training, a test result. An interrupted
training goes on from its newest checkpoint.
"""

import argparse
import os
import shlex
import subprocess
import sys
from pathlib import Path

from mmengine.config import Config
from mmpretrain.registry import DATASETS

from mmpretrain_mldecoder.analysis.demo import (
    best_checkpoint,
    is_trained,
    newest_log,
    read_test_metrics,
)
from mmpretrain_mldecoder.apis import MultiLabelInferencer, write_predictions
from mmpretrain_mldecoder.checkpoints.resume import find_resume_checkpoint
from mmpretrain_mldecoder.datasets.demo_scenes import make_demo_dataset
from mmpretrain_mldecoder.visualization import contact_sheet, plot_curves

ROOT = Path(__file__).resolve().parents[1]
NUM_PREDICTED = 12
# The asymmetric loss hardly pushes a negative's score below 0.5, so that 0.5 lets many pass; 0.75
# is what the authors' own inference script uses.
THRESHOLD = 0.75
SPLITS = ('train', 'val', 'test')


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line; everything has a default, below the repository wherever one is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default, text in (
        ('--data', 'data/demo', 'folder of the dataset; rendered if it is not there'),
        ('--work-dir', 'work_dirs/demo', 'folder of everything else that is written'),
        ('--config', 'configs/demo/mldecoder_r18vd_half_demo.py', 'what is trained'),
    ):
        default = Path(os.path.relpath(ROOT / default))
        parser.add_argument(name, type=Path, default=default, help=f'{text} (default: {default})')
    return parser.parse_args(argv)


def say(text: str) -> None:
    """Print a step, before any output of a child process."""
    print(f'\n==> {text}', flush=True)


def run_tool(name: str, *args: str | Path) -> None:
    """Run another tool, showing the command; if it fails, end here."""
    command = [sys.executable, os.path.relpath(ROOT / 'tools' / name), *map(str, args)]
    print(f'$ {shlex.join(["python", *command[1:]])}', flush=True)
    # Threads that wait must not keep a core busy: beside any other program on a machine of few
    # cores, that makes a step take ten times as long.
    environment = {'OMP_WAIT_POLICY': 'PASSIVE', **os.environ}
    status = subprocess.run(command, env=environment).returncode
    if status:
        sys.exit(
            f'tools/{name} ended with status {status}, for the reason above. The same command '
            'again goes on with what is finished by now.'
        )


def train(config: Config, args: argparse.Namespace, options: list[str]) -> Path:
    """Train, unless that is done, and return the best checkpoint."""
    epochs = config.train_cfg.max_epochs
    if is_trained(args.work_dir, epochs):
        say(f'{args.work_dir} is reused: its {epochs} epochs of training are finished')
    else:
        start = find_resume_checkpoint(args.work_dir)
        how = f'going on from {start}' if start else 'a few minutes on 2 CPU cores'
        say(f'training for {epochs} epochs, {how}')
        run_tool('train.py', args.config, '--work-dir', args.work_dir, '--resume', *options)
    checkpoint = best_checkpoint(args.work_dir)
    if checkpoint is None:
        sys.exit(f'the training left no best checkpoint: remove {args.work_dir} and start anew')
    return checkpoint


def test(checkpoint: Path, args: argparse.Namespace, options: list[str]) -> dict:
    """Test the checkpoint, unless that is done, and return the metrics that the test wrote."""
    folder = args.work_dir / 'test'
    if read_test_metrics(folder, checkpoint) is None:
        say(f'testing {checkpoint.name}, the best of the training')
        run_tool('test.py', args.config, checkpoint, '--work-dir', folder, *options)
    else:
        say(f'{folder} is reused: it holds the test of {checkpoint.name}')
    return read_test_metrics(folder, checkpoint)


def predict(config: Config, checkpoint: Path, out: Path) -> Path:
    """Predict the first validation images and draw them beside the truth."""
    say(f'predicting {NUM_PREDICTED} validation images: labels scored {THRESHOLD} or more')
    dataset = DATASETS.build(config.val_dataloader.dataset)
    infos = [dataset.get_data_info(i) for i in range(min(NUM_PREDICTED, len(dataset)))]
    images = [info['img_path'] for info in infos]
    truth = [[dataset.metainfo['classes'][i] for i in info['gt_label']] for info in infos]
    predictions = MultiLabelInferencer(config, checkpoint)(images, thr=THRESHOLD)
    write_predictions(predictions, out / 'predictions.jsonl')
    return contact_sheet(images, predictions, out / 'contact_sheet.png', truth=truth)


def main(argv: list[str] | None = None) -> None:
    """Go the whole way and end with a summary."""
    args = parse_args(argv)
    config = Config.fromfile(args.config)
    roots = {f'{split}_dataloader.dataset.data_root': str(args.data) for split in SPLITS}
    config.merge_from_dict(roots)
    options = ['--cfg-options', *(f'{key}={value}' for key, value in roots.items())]

    say('the dataset')
    written = make_demo_dataset(args.data)
    print(f'{args.data} is {"written" if written else "reused"}')
    checkpoint = train(config, args, options)
    metrics = test(checkpoint, args, options)
    sheet = predict(config, checkpoint, args.work_dir)
    curves = plot_curves(args.work_dir, args.work_dir / 'curves.png')

    say('done')
    for name, value in (
        ('mAP, EMA weights', f'{metrics["coco/mAP"]:.2f} %'),
        ('mAP, raw weights', f'{metrics["coco/mAP_raw"]:.2f} %'),
        ('checkpoint', checkpoint),
        ('log', newest_log(args.work_dir)),
        ('curves', curves),
        ('contact sheet', sheet),
    ):
        print(f'{name:<16}  {value}')


if __name__ == '__main__':
    main()
