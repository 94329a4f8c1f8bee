import importlib

import pytest
import torch

from mmpretrain_mldecoder.layers import asymmetric_loss


@pytest.fixture(scope='module')
def training_step():
    """The benchmark as a module."""
    pytest.importorskip('timm')
    pytest.importorskip('torchvision')
    return importlib.import_module('training_step')


def test_both_sides_are_the_same_model_and_loss(training_step, tmp_path):
    published_tensors = importlib.import_module('timm_head').published_tensors
    torch.manual_seed(0)
    loop = training_step.PlainLoop(size=32, batch=2, steps=2)
    runner = training_step.runner_of(32, 2, 2, str(tmp_path), {})
    plain, ours = loop.model.eval(), runner.model.eval()
    ours.backbone.load_state_dict(plain.trunk.state_dict())
    ours.head.decoder.load_state_dict(published_tensors(plain.head))
    trainable = [
        sum(p.numel() for p in model.parameters() if p.requires_grad) for model in (plain, ours)
    ]
    assert trainable[0] == trainable[1]

    images, targets = next(loop.batches)
    with torch.no_grad():
        logits = plain(images.float() / 255)
        # The preprocessor turns BGR to RGB, so the image is turned before.
        batch = ours.data_preprocessor(dict(inputs=images.flip(1)))
        expected = ours(batch['inputs'])
    # float32; random batch norms in evaluation mode let values grow
    torch.testing.assert_close(logits, expected, rtol=1e-3, atol=1e-3)
    loss = training_step.plain_loss(logits, targets)
    torch.testing.assert_close(loss, asymmetric_loss(logits, targets).sum(), rtol=1e-5, atol=0)


def test_row(training_step):
    row = training_step.compare(size=32, batch=2, steps=1, warmup=1, options={})
    assert 0 < row.ours < 60 and 0 < row.peer < 60
