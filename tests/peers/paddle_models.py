"""Run PaddleClas' models with formula weights on given images (Paddle's interpreter).

    python tests/peers/paddle_models.py FOLDER [--checkpoints]

reads the arrays ``(B, 3, H, W)`` of ``FOLDER/inputs.npz`` and writes, for each model, its weights
``FOLDER/NAME.pdparams`` by ``paddle.save`` and ``FOLDER/NAME.npz`` with, for each input ``KEY``,
``KEY/logits`` and, for the models without ML-Decoder, ``KEY/features`` (ahead of the pool).
``FOLDER/parameters.json`` gets every model's parameter names and shapes, and the versions.

With ``--checkpoints`` it instead trains ResNet50_vd + ML-Decoder for one step and lets
``ppcls.utils.save_load`` write the run's files to ``FOLDER/plain`` (without EMA) and
``FOLDER/ema``. ``FOLDER/outputs.npz`` gets the logits of the trained weights (``raw``) and of their
average (``ema``).
"""

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
import paddle
from peer_python import parse_arguments

# Name: the settings that PaddleClas' own configs give.
CONFIGS = {
    name + suffix: dict(Arch=dict(name=name, **arch), **decoder)
    for name in ('ResNet50', 'ResNet50_vd')
    for suffix, arch, decoder in (
        ('', dict(class_num=1000), {}),
        ('-q80', dict(class_num=80, use_ml_decoder=True), dict(MLDecoder=dict(query_num=80))),
        ('-q10', dict(class_num=80, use_ml_decoder=True), dict(MLDecoder=dict(query_num=10))),
    )
}
# Those of PaddleX' models, as its configs (and PaddleClas' for COCO) have them.
CONFIGS |= {
    f'{name}-q80': dict(
        Arch=dict(name=name, class_num=80, use_ml_decoder=True, **arch),
        MLDecoder=dict(query_num=80, class_num=80, **decoder),
    )
    for name, arch, decoder in (
        ('PPLCNet_x1_0', {}, dict(in_channels=1280)),
        *((f'PPHGNetV2_B{n}', {}, dict(in_channels=2048)) for n in (0, 4, 6)),
        (
            'CLIP_vit_base_patch16_224',
            dict(return_embed=False, use_fused_attn=False),
            dict(in_channels=768, remove_layers=[], replace_layer='head'),
        ),
    )
}


def build(name: str) -> paddle.nn.Layer:
    """Return PaddleClas' model with formula weights and running statistics, in eval mode."""
    from formula_weights import fill
    from ppcls.arch import build_model

    model = build_model(CONFIGS[name])
    state = {key: fill(key, tuple(value.shape)) for key, value in model.state_dict().items()}
    missing, unexpected = model.set_state_dict(state)
    assert not missing and not unexpected, (missing, unexpected)
    return model.eval()


@paddle.no_grad()
def run(model: paddle.nn.Layer, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the logits of every input, and the features ahead of a pool."""
    features = []
    is_resnet = isinstance(getattr(model, 'fc', None), paddle.nn.Linear)
    if is_resnet:
        hook = lambda layer, args, out: features.append(out.numpy())  # noqa: E731
        model.blocks.register_forward_post_hook(hook)
    outputs = {}
    for key, array in inputs.items():
        outputs[f'{key}/logits'] = model(paddle.to_tensor(array)).numpy()
        if is_resnet:
            outputs[f'{key}/features'] = features[-1]
    return outputs


def run_all(folder: Path, inputs: dict[str, np.ndarray]) -> None:
    parameters = {}
    for name in CONFIGS:
        model = build(name)
        parameters[name] = {key: list(value.shape) for key, value in model.state_dict().items()}
        paddle.save(model.state_dict(), str(folder / f'{name}.pdparams'))
        np.savez(folder / f'{name}.npz', **run(model, inputs))
    versions = {package: version(package) for package in ('paddlepaddle', 'paddleclas', 'numpy')}
    content = dict(versions=versions, parameters=parameters)
    (folder / 'parameters.json').write_text(json.dumps(content))


def save_checkpoints(folder: Path, inputs: dict[str, np.ndarray]) -> None:
    from ppcls.utils.ema import ExponentialMovingAverage
    from ppcls.utils.save_load import save_model

    ((key, images),) = inputs.items()
    model = build('ResNet50_vd-q80')
    average = ExponentialMovingAverage(model, decay=0.5)
    optimizer = paddle.optimizer.Adam(1e-3, parameters=model.parameters())
    model.train()
    model(paddle.to_tensor(images)).square().sum().backward()
    optimizer.step()
    model.eval()
    average.update(model)
    info = dict(metric=0.5, epoch=1)
    save_model(model, [optimizer], info, str(folder / 'plain'), prefix='latest')
    for prefix in ('latest', 'best_model'):
        save_model(model, [optimizer], info, str(folder / 'ema'), ema=average.module, prefix=prefix)
    networks = dict(raw=model, ema=average.module)
    outputs = {name: run(network, inputs)[f'{key}/logits'] for name, network in networks.items()}
    np.savez(folder / 'outputs.npz', **outputs)


def main() -> None:
    args = parse_arguments(__doc__, checkpoints=dict(action='store_true'))
    from ppcls.utils import logger

    logger.init_logger()
    inputs = dict(np.load(args.folder / 'inputs.npz'))
    (save_checkpoints if args.checkpoints else run_all)(args.folder, inputs)


if __name__ == '__main__':
    main()
