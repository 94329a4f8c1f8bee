import pytest
from mmengine.config import Config

from mmpretrain_mldecoder.engine.checks.idle_settings import idle_settings

BASE = """
size = 32
vis_backends = [dict(type='LocalVisBackend')]
visualizer = dict(type='Visualizer', vis_backends=vis_backends)
test_pipeline = [dict(type='Resize', scale=size)]
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
custom_hooks = [dict(type='DualEMAHook'), dict(type='IterSeedHook')]
"""


@pytest.mark.parametrize(
    ('lines', 'named', 'followed'),
    [
        (
            'vis_backends = []',
            'Set visualizer.vis_backends',
            'vis_backends = []\nvisualizer = dict(vis_backends=vis_backends)',
        ),
        (
            'test_pipeline = []',
            'Set test_dataloader.dataset.pipeline',
            'test_dataloader = dict(dataset=dict(pipeline=[]))',
        ),
        (
            "custom_hooks = [dict(type='EmptyCacheHook'), dict(type='IterSeedHook')]",
            'DualEMAHook will not run',
            "custom_hooks = [dict(type='IterSeedHook'), dict(type='DualEMAHook')]",
        ),
        (
            'param_schedulers = []',
            "Nothing reads the key 'param_schedulers' of the config: is it param_scheduler?",
            'param_scheduler = []',
        ),
        (
            'model = dict(data_preprocessor=dict(mean=[0]))\ndata_preprocessor = dict(std=[1])',
            'does nothing beside model.data_preprocessor',
            'model = dict(data_preprocessor=dict(mean=[0], std=[1]))',
        ),
    ],
)
def test_settings_that_do_nothing_are_named(tmp_path, lines, named, followed):
    (tmp_path / 'base.py').write_text(BASE)
    for content, sentence in ((lines, named), (followed, None)):
        file = tmp_path / 'child.py'
        file.write_text(f"_base_ = './base.py'\n{content}\n")
        found = idle_settings(Config.fromfile(file))
        assert len(found) == (sentence is not None)
        assert all(sentence in line for line in found)


def test_variables_that_an_option_overrides_are_named(tmp_path):
    (tmp_path / 'base.py').write_text(BASE)
    cfg = Config.fromfile(tmp_path / 'base.py')
    assert not idle_settings(cfg)
    cfg.merge_from_dict(dict(vis_backends=[], custom_hooks=[]))
    assert len(idle_settings(cfg)) == 2
