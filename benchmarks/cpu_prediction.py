"""Prediction on the CPU at 448 px, beside the model as MMEngine builds it.

ResNet50_vd + ML-Decoder. The peer is eager PyTorch: float32, NCHW, batch norms on their own, by
``model.test_step``. Ours is ``MultiLabelInferencer`` with each of its backends. The weights are
random; the seconds do not depend on them.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from comparison import Comparison, argument_parser, report, seconds_in_turn
from mmengine.config import Config
from mmengine.dataset import default_collate
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from photo_like import write_photos

from mmpretrain_mldecoder.apis import MultiLabelInferencer
from mmpretrain_mldecoder.apis.inference.onnx_model import OnnxModel, missing_onnx_packages

CONFIG = Path(__file__).parents[1] / 'configs' / 'mldecoder' / 'r50vd_coco-448px.py'
GOALS = dict(torch=1.4, onnx=1.9)
NAMES = dict(torch='torch, folded, channels-last', onnx='ONNX Runtime')


def build(folder: Path) -> tuple[Config, Path, torch.nn.Module]:
    """Return the config, a checkpoint of random weights, and the model that MMEngine builds."""
    config = Config.fromfile(CONFIG)
    config.model.backbone.pop('init_cfg')  # the weights that a training starts from
    classes = [f'class {i}' for i in range(config.model.head.num_classes)]
    config.test_dataloader.dataset.metainfo = dict(classes=classes)
    init_default_scope('mmpretrain')
    torch.manual_seed(0)
    model = MODELS.build(config.model | dict(data_preprocessor=config.data_preprocessor))
    model.eval()
    checkpoint = folder / 'random.pth'
    torch.save(dict(state_dict=model.state_dict()), checkpoint)
    return config, checkpoint, model


def predictor(forward: Callable[[dict], list], batch: dict) -> Callable[[], torch.Tensor]:
    """Return a call that gives the scores of a batch."""

    def predict() -> torch.Tensor:
        with torch.no_grad():
            return torch.stack([sample.pred_score for sample in forward(batch)])

    return predict


def main() -> None:
    """Time the network alone and with the images' preprocessing, then what the export costs."""
    parser = argument_parser(__doc__)
    parser.add_argument('--photos', type=int, default=4, help='images, one batch')
    parser.add_argument('--repeats', type=int, default=5, help='timed rounds')
    parser.add_argument('--threads', type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    backends = ['torch'] if missing_onnx_packages() else ['torch', 'onnx']

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config, checkpoint, eager = build(folder)
        paths = [str(path) for path in write_photos(folder, args.photos, (480, 640))]
        ours = {
            backend: MultiLabelInferencer(config, checkpoint, 'cpu', args.photos, backend)
            for backend in backends
        }
        pipeline = ours['torch'].pipeline
        batch = default_collate([pipeline(path) for path in paths])

        def eager_from_files() -> torch.Tensor:
            files = default_collate([pipeline(path) for path in paths])
            return predictor(eager.test_step, files)()

        networks = dict(eager=predictor(eager.test_step, batch)) | {
            backend: predictor(inferencer.forward, batch) for backend, inferencer in ours.items()
        }
        from_files = dict(eager=eager_from_files) | {
            backend: lambda inferencer=inferencer: inferencer(paths)
            for backend, inferencer in ours.items()
        }
        expected = networks['eager']()
        apart = {backend: (networks[backend]() - expected).abs().max() for backend in ours}
        rows = []
        for what, functions in {'network': networks, 'from JPEG to labels': from_files}.items():
            seconds = seconds_in_turn(functions, args.repeats)
            rows += [
                Comparison(
                    what=f'{what}, {args.photos} photos, {NAMES[backend]}',
                    ours=seconds[backend],
                    unit='s',
                    peer=seconds['eager'],
                    peer_name='eager, NCHW',
                    goal=GOALS[backend],
                    note=f'scores at most {apart[backend]:.1g} apart' if what == 'network' else '',
                )
                for backend in backends
            ]
        if 'onnx' in backends:
            start = time.perf_counter()
            OnnxModel(ours['onnx'].model, batch['inputs'])
            elapsed = time.perf_counter() - start
            saved = (seconds['torch'] - seconds['onnx']) / args.photos
            note = 'once a process, before the first photo that ONNX Runtime predicts' + (
                f'; paid back after {elapsed / saved:.0f} photos, beside torch' if saved > 0 else ''
            )
            rows.append(Comparison(what='export to ONNX', ours=elapsed, unit='s', note=note))
    report(
        'cpu_prediction',
        rows,
        args.out,
        ('torch', 'mmpretrain', 'onnxruntime', 'onnx', 'onnxscript'),
    )


if __name__ == '__main__':
    main()
