import pytest
import torch
from mmengine.runner import CheckpointLoader

from mmpretrain_mldecoder.checkpoints import host_loaders as model_zoo

SCHEMES = {
    'torchvision': 'get_torchvision_models',
    'modelzoo': 'get_torchvision_models',
    'open-mmlab': 'get_external_models',
    'openmmlab': 'get_external_models',
    'mmcls': 'get_mmcls_models',
}


@pytest.mark.parametrize(('scheme', 'names'), SCHEMES.items())
def test_name_is_read_weights_only(tmp_path, monkeypatch, scheme, names):
    # The files lie in the download folder already, so that nothing is fetched.
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    folder = tmp_path / 'hub' / 'checkpoints'
    folder.mkdir(parents=True)
    torch.save({'backbone.conv': torch.ones(1), 'head.fc': torch.ones(1)}, folder / 'good.pth')
    torch.save(dict(call=print), folder / 'evil.pth')
    addresses = {name: f'https://host.invalid/{name}.pth' for name in ('good', 'evil')}
    monkeypatch.setattr(model_zoo, names, lambda: addresses)

    loaded = CheckpointLoader.load_checkpoint(f'{scheme}://good')
    if scheme == 'mmcls':
        assert list(loaded['state_dict']) == ['conv']
    else:
        assert list(loaded) == ['backbone.conv', 'head.fc']
    with pytest.raises(ValueError, match=r'evil.pth holds builtins.print'):
        CheckpointLoader.load_checkpoint(f'{scheme}://evil')


@pytest.mark.parametrize('scheme', SCHEMES)
def test_unknown_name(scheme):
    with pytest.raises(ValueError, match=f"{scheme}:// has no 'absent'"):
        CheckpointLoader.load_checkpoint(f'{scheme}://absent')
