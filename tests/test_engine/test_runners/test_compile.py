import pytest
import torch
from mmengine.model import BaseModel
from tiny_run import build_runner, read, write_tiny_config
from torch._dynamo.utils import counters

from mmpretrain_mldecoder.engine import PortableRunner

# aot_eager traces forward and backward as the default does, and compiles nothing. Batches of 5, 5
# and 2 images, each with labels of its own.
OPTIONS = {
    'model.backbone': dict(num_stages=1, strides=(1,), dilations=(1,), out_indices=(0,)),
    'model.head.in_channels': 4,
    'train_cfg.max_epochs': 1,
    'param_scheduler.total_steps': 1,
    'train_dataloader.batch_size': 5,
    'optim_wrapper.optimizer.eps': 0.01,
    'train_cfg.val_begin': 2,  # after the end
}


def test_trains_as_without(tmp_path):
    config = write_tiny_config(tmp_path)
    for name, compile_options in (('eager', False), ('compiled', dict(backend='aot_eager'))):
        counters.clear()
        runner = build_runner(config, tmp_path / name, compile=compile_options, **OPTIONS)
        runner.train()
    # The backbone and the decoder, once for each of the two batch sizes at most, in one piece each.
    assert 2 <= counters['stats']['unique_graphs'] <= 4
    assert not counters['graph_break']

    eager, compiled = (read(tmp_path / name / 'epoch_1.pth') for name in ('eager', 'compiled'))
    for part in ('state_dict', 'ema_state_dict'):
        assert eager[part].keys() == compiled[part].keys()
        for name, value in eager[part].items():
            # 3 steps in float32, sums in another order
            torch.testing.assert_close(compiled[part][name], value, rtol=1e-4, atol=1e-5, msg=name)


class Plain(BaseModel):
    """A model that is no classifier."""

    def forward(self, inputs, data_samples=None, mode='tensor'):
        return inputs


def test_model_without_backbone(tmp_path):
    runner = PortableRunner(
        cfg=dict(compile=True),
        model=Plain(),
        work_dir=str(tmp_path),
        experiment_name='plain',
        default_scope='mmpretrain',
    )
    with pytest.raises(ValueError, match='compile needs a backbone, but Plain has none'):
        runner._maybe_compile('train_step')
