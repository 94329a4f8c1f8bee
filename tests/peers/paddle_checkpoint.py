"""Train PaddleClas' ResNet50_vd + ML-Decoder for one step and save as its training does.

    python tests/peers/paddle_checkpoint.py FOLDER     (Paddle's interpreter)

reads ``FOLDER/inputs.npz`` and lets ``ppcls.utils.save_load.save_model`` write the run's files to
``FOLDER/plain`` (without EMA) and ``FOLDER/ema``. ``FOLDER/outputs.npz`` gets the logits of the
first input, of the trained weights (``raw``) and of their average (``ema``).
"""

import sys
from pathlib import Path

import numpy as np
import paddle
from paddle_models import build, run  # first: it makes ppcls importable
from ppcls.utils.ema import ExponentialMovingAverage
from ppcls.utils.save_load import save_model


def main(folder: Path) -> None:
    inputs = dict(np.load(folder / 'inputs.npz'))
    images = paddle.to_tensor(next(iter(inputs.values())))
    model = build('ResNet50_vd-q80')
    average = ExponentialMovingAverage(model, decay=0.5)
    optimizer = paddle.optimizer.Adam(1e-3, parameters=model.parameters())
    model.train()
    model(images).square().sum().backward()
    optimizer.step()
    model.eval()
    average.update(model)
    info = dict(metric=0.5, epoch=1)
    save_model(model, [optimizer], info, str(folder / 'plain'), prefix='latest')
    for prefix in ('latest', 'best_model'):
        save_model(model, [optimizer], info, str(folder / 'ema'), ema=average.module, prefix=prefix)
    outputs = {
        name: next(iter(run(network, inputs).values()))
        for name, network in (('raw', model), ('ema', average.module))
    }
    np.savez(folder / 'outputs.npz', **outputs)


if __name__ == '__main__':
    main(Path(sys.argv[1]))
