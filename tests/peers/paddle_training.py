"""Train PaddleClas' model for a few steps by a config of PaddleClas (Paddle's interpreter).

    python tests/peers/paddle_training.py FOLDER --checkout PADDLECLAS --config YAML

Model and EMA come from the installed package; loss, optimiser and schedule, which it leaves out,
from a checkout of PaddleClas. ``FOLDER/batches.npz`` holds ``images`` ``(S, B, 3, H, W)``, one
batch a step, and ``targets`` ``(S, B, C)``. Weights start from the formula.

``FOLDER/raw.pdparams`` and ``FOLDER/ema.pdparams`` get the weights afterwards;
``FOLDER/training.json`` the loss of every step, the learning rates of the whole schedule, and the
root mean square of what was added to each tensor, raw and average, with the names' shapes.

A step does what ``train_epoch`` of ``ppcls/engine/train/train.py`` does, in its order. Dropout and
mixed precision are off.
"""

import argparse
import importlib.util
import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
import paddle
from paddle_models import build_model  # first: it makes ppcls and tests/ importable
from ppcls import __path__ as ppcls_path
from ppcls.utils.config import parse_config
from ppcls.utils.ema import ExponentialMovingAverage
from training_recipes import start

# File of ppcls/loss/ that holds it: the folder's own import needs all the other losses.
LOSS_FILES = {'MultiLabelASL': 'asymmetricloss', 'MultiLabelAsymmetricLoss': 'multilabelloss'}


def build_loss(checkout: Path, config: list) -> paddle.nn.Layer:
    """Return the only loss of the config; PaddleClas uses no ``weight`` then."""
    (((name, arguments),),) = (entry.items() for entry in config)
    path = checkout / 'ppcls' / 'loss' / f'{LOSS_FILES[name]}.py'
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    arguments = {key: value for key, value in arguments.items() if key != 'weight'}
    return getattr(module, name)(**arguments)


def build_network(config: dict, dtype: str) -> paddle.nn.Layer:
    """Return the network with formula weights, without dropout."""
    decoder = dict(config['MLDecoder'], dropout=0.0)
    decoder.setdefault('in_channels', decoder.pop('in_chans', None))  # the draft's word for it
    arch = {key: value for key, value in config['Arch'].items() if key != 'pretrained'}
    model = build_model(dict(Arch=arch, MLDecoder=decoder))
    model.to(dtype=dtype)
    shapes = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    state = {key: value.astype(dtype) for key, value in start(shapes).items()}
    missing, unexpected = model.set_state_dict(state)
    assert not missing and not unexpected, (missing, unexpected)
    return model


def build_optimizer(config: dict, epoch_length: int, model: paddle.nn.Layer) -> tuple:
    """Return optimiser, schedule and, if PaddleClas refuses the config, its words."""
    from ppcls.optimizer import build_optimizer as build

    epochs = config['Global']['epochs']
    try:
        (optimizer,), (schedule,) = build(config['Optimizer'], epochs, epoch_length, [model])
        return optimizer, schedule, None
    except TypeError as error:
        # The draft gives its Adam an argument that only AdamW has. Done here as AdamW does it.
        rest = dict(config['Optimizer'])
        assert rest.pop('one_dim_param_no_weight_decay') is True
        for parameter in model.parameters():
            if len(parameter.shape) == 1:
                parameter.regularizer = paddle.regularizer.L2Decay(0.0)
        (optimizer,), (schedule,) = build(rest, epochs, epoch_length, [model])
        return optimizer, schedule, str(error)


def train(checkout: Path, config: dict, batches: dict, epoch_length: int, dtype: str) -> tuple:
    """Train one step a batch; return what is reported, and the states raw and average."""
    model = build_network(config, dtype)
    before = {key: value.numpy().copy() for key, value in model.state_dict().items()}
    loss_function = build_loss(checkout, config['Loss']['Train'])
    optimizer, schedule, refusal = build_optimizer(config, epoch_length, model)
    average = ExponentialMovingAverage(model, config['EMA']['decay'])
    model.train()
    losses, rates = [], []
    for images, targets in zip(batches['images'], batches['targets'], strict=True):
        rates.append(optimizer.get_lr())
        logits = model(paddle.to_tensor(images.astype(dtype)))
        (loss,) = loss_function(logits, paddle.to_tensor(targets.astype(dtype))).values()
        loss.backward()
        optimizer.step()
        optimizer.clear_grad()
        schedule.step()
        average.update(model)
        losses.append(float(loss))
    states = dict(raw=model.state_dict(), ema=average.module.state_dict())
    moves = {
        kind: {
            key: float(f'{np.sqrt(np.mean((value.numpy() - before[key]) ** 2)):.9g}')
            for key, value in state.items()
        }
        for kind, state in states.items()
    }
    while len(rates) < config['Global']['epochs'] * epoch_length:
        rates.append(optimizer.get_lr())
        schedule.step()
    shapes = {key: list(value.shape) for key, value in before.items()}
    return dict(refusal=refusal, losses=losses, rates=rates, moves=moves, shapes=shapes), states


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('folder', type=Path)
    parser.add_argument('--checkout', type=Path, required=True)
    parser.add_argument('--config', required=True, help='below ppcls/configs/')
    parser.add_argument('--epoch-length', type=int, default=1, help='steps, default 1')
    parser.add_argument('--dtype', choices=('float32', 'float64'), default='float32')
    parser.add_argument('--arch', help="instead of the config's")
    parser.add_argument('--decoder', type=json.loads, default={}, help='more of MLDecoder, as JSON')
    args = parser.parse_args()
    paddle.set_device('cpu')
    paddle.set_default_dtype(args.dtype)
    ppcls_path.append(str(args.checkout / 'ppcls'))

    config = parse_config(args.checkout / 'ppcls' / 'configs' / args.config)
    config['Arch']['name'] = args.arch or config['Arch']['name']
    config['MLDecoder'].update(args.decoder)
    batches = np.load(args.folder / 'batches.npz')
    batches = {key: batches[key] for key in ('images', 'targets')}
    report, states = train(args.checkout, config, batches, args.epoch_length, args.dtype)
    for kind, state in states.items():
        paddle.save(state, str(args.folder / f'{kind}.pdparams'))
    report['versions'] = {name: version(name) for name in ('paddlepaddle', 'paddleclas', 'numpy')}
    (args.folder / 'training.json').write_text(json.dumps(report))


if __name__ == '__main__':
    main()
