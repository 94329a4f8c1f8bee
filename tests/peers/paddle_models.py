"""Run PaddleClas' models with formula weights on given images (Paddle's interpreter).

    python tests/peers/paddle_models.py FOLDER [--models NAME ...]

reads the arrays ``(B, 3, H, W)`` of ``FOLDER/inputs.npz`` and writes, for each model, its weights
``FOLDER/NAME.pdparams`` by ``paddle.save`` and ``FOLDER/NAME.npz`` with, for each input ``KEY``,
``KEY/logits`` and, for the models without ML-Decoder, ``KEY/features`` (ahead of the pool).
``FOLDER/parameters.json`` gets every model's parameter names and shapes, and the versions.
"""

import argparse
import importlib.util
import json
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import paddle

sys.path.append(str(Path(__file__).parents[1] / 'support'))
# The wheel's modules import each other from the folder that holds `ppcls`.
sys.path.append(importlib.util.find_spec('paddleclas').submodule_search_locations[0])
from formula_weights import fill
from ppcls.utils import logger

logger.init_logger()
from ppcls.arch import build_model  # noqa: E402

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


def build(name: str) -> paddle.nn.Layer:
    """Return PaddleClas' model with formula weights and running statistics, in eval mode."""
    model = build_model(CONFIGS[name])
    state = {key: fill(key, tuple(value.shape)) for key, value in model.state_dict().items()}
    missing, unexpected = model.set_state_dict(state)
    assert not missing and not unexpected, (missing, unexpected)
    return model.eval()


@paddle.no_grad()
def run(model: paddle.nn.Layer, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the logits of every input, and the features ahead of a pool."""
    features = []
    model.blocks.register_forward_post_hook(lambda layer, args, out: features.append(out.numpy()))
    outputs = {}
    for key, array in inputs.items():
        outputs[f'{key}/logits'] = model(paddle.to_tensor(array)).numpy()
        if isinstance(model.fc, paddle.nn.Linear):
            outputs[f'{key}/features'] = features[-1]
    return outputs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('folder', type=Path)
    parser.add_argument('--models', nargs='+', default=list(CONFIGS), choices=list(CONFIGS))
    args = parser.parse_args()
    inputs = dict(np.load(args.folder / 'inputs.npz'))
    parameters = {}
    for name in args.models:
        model = build(name)
        parameters[name] = {key: list(value.shape) for key, value in model.state_dict().items()}
        paddle.save(model.state_dict(), str(args.folder / f'{name}.pdparams'))
        np.savez(args.folder / f'{name}.npz', **run(model, inputs))
    versions = {package: version(package) for package in ('paddlepaddle', 'paddleclas', 'numpy')}
    content = dict(versions=versions, parameters=parameters)
    (args.folder / 'parameters.json').write_text(json.dumps(content))


if __name__ == '__main__':
    main()
