import copy

import pytest
import torch
from tiny_classifier import build_classifier
from torch import Tensor, nn

from mmpretrain_mldecoder.apis.inference import onnx_model
from mmpretrain_mldecoder.apis.inference.onnx_model import OnnxModel, WholeNetwork, to_onnx

for package in ('onnxruntime', 'onnx', 'onnxscript'):
    pytest.importorskip(package)


def random_images(batch: int) -> Tensor:
    generator = torch.Generator().manual_seed(batch)
    # Of one colour each, and noise.
    colors = torch.rand(batch, 3, 1, 1, generator=generator) * 200
    return (torch.rand(batch, 3, 48, 32, generator=generator) * 55 + colors).to(torch.uint8)


@pytest.mark.parametrize('head', ['groups', 'linear'])
def test_logits_are_those_of_torch_for_any_batch(head):
    model = build_classifier(head)
    exported = OnnxModel(model, random_images(1))  # an example of one must not freeze the batch
    for batch in (1, 2, 7, 32):
        images = random_images(batch)
        assert exported.accepts(images)
        with torch.no_grad():
            expected = torch.stack([s.pred_score for s in model.test_step(dict(inputs=images))])
        assert batch == 1 or expected.std(0).max() > 1e-2
        # Two libraries sum in two orders; scores are at most 1.
        torch.testing.assert_close(exported(images).sigmoid(), expected, rtol=0, atol=1e-5)
    assert not exported.accepts(images.float())
    assert not exported.accepts(images[..., :-1])
    # OMP_NUM_THREADS=1 must mean 1, where ONNX Runtime alone would take all cores.
    options = exported._session.get_session_options()
    assert options.intra_op_num_threads == torch.get_num_threads()


def test_what_is_exported(capfd, recwarn):
    model = to_onnx(WholeNetwork(build_classifier('linear')), random_images(3))
    (image,), (logits,) = model.graph.input, model.graph.output
    assert (image.name, logits.name) == ('image', 'logits')
    batch, *rest = image.type.tensor_type.shape.dim
    assert batch.dim_param
    assert [d.dim_value for d in rest] == [3, 48, 32]
    assert capfd.readouterr() == ('', '')
    assert not recwarn.list


def test_a_model_that_cannot_be_exported(monkeypatch):
    def refuse(*args, **options):
        raise TypeError('no such operator\nand a page of hints')

    monkeypatch.setattr(torch.onnx, 'export', refuse)
    with pytest.raises(RuntimeError, match=r'cannot be exported .*: no such operator'):
        OnnxModel(build_classifier('linear'), random_images(1))


def test_a_model_that_is_exported_wrongly(monkeypatch):
    def export_another(network, example):
        other = copy.deepcopy(network)
        nn.init.constant_(other.model.head.fc.bias, 3)
        return to_onnx(other, example)

    monkeypatch.setattr(onnx_model, 'to_onnx', export_another)
    with pytest.raises(RuntimeError, match=r'gives scores that are 0\.\d+ off, more than 0\.001'):
        OnnxModel(build_classifier('linear'), random_images(1))
