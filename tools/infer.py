"""Predict the labels of pictures: python tools/infer.py photos/ CONFIG CKPT --out-dir out/."""

import argparse
from pathlib import Path

from mmpretrain_mldecoder.apis import MultiLabelInferencer, write_predictions
from mmpretrain_mldecoder.visualization import contact_sheet

MAX_ON_SHEET = 60  # a sheet of more pictures is too long to look at


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('inputs', nargs='+', help='pictures, folders (recursive) or globs')
    parser.add_argument('config', help='config file of the model')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--thr', type=float, default=0.5, help='lowest score of a label given')
    parser.add_argument('--topk', type=int, help='at most so many labels of those; --thr 0: all')
    parser.add_argument('--out-dir', type=Path, help='write predictions.jsonl, contact_sheet.png')
    parser.add_argument('--device', help='cuda, cpu, ...; default: what the machine has')
    parser.add_argument('--batch-size', type=int, default=32, help='pictures a forward pass')
    parser.add_argument(
        '--backend',
        choices=('torch', 'onnx'),
        help='what runs the network; default: torch, and ONNX Runtime for long work on the CPU',
    )
    return parser.parse_args()


def main() -> None:
    """Predict, print a table, and write the files that --out-dir asks for."""
    args = parse_args()
    inferencer = MultiLabelInferencer(
        args.config, args.checkpoint, args.device, args.batch_size, args.backend
    )
    predictions = inferencer(args.inputs, thr=args.thr, topk=args.topk)

    width = max(len(p['path']) for p in predictions)
    label_width = max((len(name) for p in predictions for name in p['labels']), default=0)
    for p in predictions:
        pairs = zip(p['labels'], p['scores'], strict=True)
        row = '  '.join(f'{label:<{label_width}} {score:.3f}' for label, score in pairs)
        print(f'{p["path"]:<{width}}  {row or "-"}')

    if args.out_dir:
        print(f'predictions: {write_predictions(predictions, args.out_dir / "predictions.jsonl")}')
        shown = predictions[:MAX_ON_SHEET]
        sheet = args.out_dir / 'contact_sheet.png'
        contact_sheet([p['path'] for p in shown], shown, sheet)
        only = f' (the first {len(shown)})' if len(shown) < len(predictions) else ''
        print(f'contact sheet: {sheet}{only}')


if __name__ == '__main__':
    main()
