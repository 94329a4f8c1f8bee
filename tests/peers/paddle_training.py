"""Train by a config of PaddleClas, with its own engine (Paddle's interpreter).

    python tests/peers/paddle_training.py FOLDER --checkout PADDLECLAS --config YAML

``FOLDER/batches.npz`` holds ``images`` ``(S, B, 3, H, W)``, one batch a step, and ``targets``
``(S, B, C)``: they stand in for the data loader. Weights start from the formula. Dropout and mixed
precision are off, all else is as ``tools/train.py`` does it.

``FOLDER/raw.pdparams`` and ``FOLDER/ema.pdparams`` get the weights afterwards;
``FOLDER/training.json`` the loss of every step, the learning rates of the whole schedule, the
root mean square of what was added to each tensor, raw and average, the names' shapes, and, if
PaddleClas refuses the config's optimiser, its words.
"""

import copy
import json
from importlib.metadata import version
from pathlib import Path
from unittest.mock import patch

import numpy as np
import paddle
from peer_python import parse_arguments


def load_config(path: Path, folder: Path, epoch_length: int, arch: str | None, decoder: dict):
    """Return PaddleClas' config for a CPU, with another model if ``arch`` and ``decoder`` say."""
    from ppcls.utils.config import get_config

    config = get_config(str(path))
    config.profiler_options = None
    settings = dict(device='cpu', output_dir=str(folder), eval_during_train=False)
    config.Global.update(settings, iter_per_epoch=epoch_length)
    config.AMP.use_amp = False
    config.Arch.update(name=arch or config.Arch.name, pretrained=False)
    if 'in_channels' in decoder and 'in_chans' in config.MLDecoder:  # the draft's word for it
        decoder['in_chans'] = decoder.pop('in_channels')
    config.MLDecoder.update(decoder, dropout=0.0)
    return config


def build_engine(config: dict, batches: list, dtype: str):
    """Return PaddleClas' engine with formula weights and, if it refuses the optimiser, its words.

    The draft gives its Adam an argument that only AdamW has; done here as AdamW does it.
    """
    from ppcls.engine import engine
    from training_recipes import start

    build_model = engine.build_model

    def build_network(*args):
        model = build_model(*args)
        model.to(dtype=dtype)
        shapes = {key: tuple(value.shape) for key, value in model.state_dict().items()}
        state = {key: value.astype(dtype) for key, value in start(shapes).items()}
        missing, unexpected = model.set_state_dict(state)
        assert not missing and not unexpected, (missing, unexpected)
        return model

    with (
        patch.object(engine, 'build_model', build_network),
        patch.object(engine, 'build_dataloader', lambda *args: batches),
    ):
        try:
            return engine.Engine(copy.deepcopy(config)), None
        except TypeError as error:
            assert config.Optimizer.pop('one_dim_param_no_weight_decay') is True
            built, refusal = engine.Engine(config), str(error)
    for parameter in built.model.parameters():
        if len(parameter.shape) == 1:
            parameter.regularizer = paddle.regularizer.L2Decay(0.0)
    return built, refusal


def train(config: dict, batches: list, dtype: str) -> tuple[dict, dict]:
    """Train one step a batch; return what is reported, and the states raw and average."""
    from ppcls.utils.misc import AverageMeter

    engine, refusal = build_engine(config, batches, dtype)
    (optimizer,), (schedule,) = engine.optimizer, engine.lr_sch
    loss_function = engine.train_loss_func
    losses, rates = [], []

    def watch(*args):
        result = loss_function(*args)
        losses.append(float(result['loss']))
        rates.append(optimizer.get_lr())
        return result

    before = {key: value.numpy().copy() for key, value in engine.model.state_dict().items()}
    engine.train_loss_func = watch
    # What Engine.train makes ahead of its first epoch, which holds all batches here.
    engine.output_info, engine.global_step, engine.iter_per_epoch = {}, 0, len(batches)
    engine.time_info = {name: AverageMeter(name) for name in ('batch_cost', 'reader_cost')}
    engine.train_epoch_func(engine, 1, 1)
    assert len(losses) == len(batches)
    states = dict(raw=engine.model.state_dict(), ema=engine.model_ema.module.state_dict())
    moves = {
        kind: {
            key: float(f'{np.sqrt(np.mean((value.numpy() - before[key]) ** 2)):.9g}')
            for key, value in state.items()
        }
        for kind, state in states.items()
    }
    while len(rates) < config.Global.epochs * config.Global.iter_per_epoch:
        rates.append(optimizer.get_lr())
        schedule.step()
    shapes = {key: list(value.shape) for key, value in before.items()}
    return dict(refusal=refusal, losses=losses, rates=rates, moves=moves, shapes=shapes), states


def main() -> None:
    args = parse_arguments(
        __doc__,
        config=dict(required=True, help='below ppcls/configs/'),
        epoch_length=dict(type=int, default=1, help='steps, default 1'),
        dtype=dict(choices=('float32', 'float64'), default='float32'),
        arch=dict(help="instead of the config's"),
        decoder=dict(type=json.loads, default={}, help='more of MLDecoder, as JSON'),
    )
    paddle.set_default_dtype(args.dtype)
    path = args.checkout / 'ppcls' / 'configs' / args.config
    config = load_config(path, args.folder, args.epoch_length, args.arch, args.decoder)
    arrays = np.load(args.folder / 'batches.npz')
    arrays = [arrays[key].astype(args.dtype) for key in ('images', 'targets')]
    batches = [list(map(paddle.to_tensor, batch)) for batch in zip(*arrays, strict=True)]
    report, states = train(config, batches, args.dtype)
    for kind, state in states.items():
        paddle.save(state, str(args.folder / f'{kind}.pdparams'))
    report['versions'] = {name: version(name) for name in ('paddlepaddle', 'paddleclas', 'numpy')}
    (args.folder / 'training.json').write_text(json.dumps(report))


if __name__ == '__main__':
    main()
