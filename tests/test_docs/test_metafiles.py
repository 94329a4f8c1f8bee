"""The model index reads by OpenMMLab's loader and says what the configs and tables say."""

import pytest
from markdown_pages import ROOT
from mmengine.config import Config
from modelindex.load_model_index import load
from modelindex.models.ModelIndex import ModelIndex
from test_readme import result_rows

FOLDERS = ('mldecoder', 'linear', 'imagenet')


@pytest.fixture
def model_index(monkeypatch) -> ModelIndex:
    monkeypatch.chdir(ROOT)  # paths in metafiles are relative to the repository
    index = load('model-index.yml')
    index.build_models_with_collections()
    return index


def test_loader_finds_no_error(model_index):
    # OpenMMLab's paths start at the repository; the loader looks beside the metafile for a README.
    errors = [error for error in model_index.check(silent=True) if 'README' not in error]
    assert errors == []
    assert all((ROOT / collection.readme).is_file() for collection in model_index.collections)


def test_every_row_is_listed_once(model_index):
    expected = {
        f'configs/{folder}/{path.name}': f'{folder}_{path.stem}'
        for folder in FOLDERS
        for path in (ROOT / 'configs' / folder).glob('*.py')
    }
    assert len(model_index.models.data) == len(expected)
    assert {model.config: model.name for model in model_index.models} == expected


def test_costs_are_those_of_the_tables(model_index):
    """The tables print three decimals, and are compared with the models themselves."""
    costs = {
        config: (float(cells['params (M)']), float(cells['FLOPs (G)']))
        for config, cells in result_rows('README.md')
    }
    for model in model_index.models:
        metadata = model.metadata.data
        params, flops = metadata['Parameters'] / 1e6, metadata['FLOPs'] / 1e9
        assert (params, flops) == costs[model.config], model.name


def test_recipes_are_those_of_the_configs(model_index):
    for model in model_index.models:
        cfg = Config.fromfile(ROOT / model.config)
        metadata = model.metadata.data
        assert metadata.get('Epochs') in (None, cfg.get('train_cfg', {}).get('max_epochs'))
        batch = cfg.get('auto_scale_lr', {}).get('base_batch_size')
        assert metadata.get('Batch Size') in (None, batch)


def test_nothing_unmeasured_is_reported(model_index):
    for model in model_index.models:
        assert model.weights is None
        assert all(result.metrics == {} for result in model.results)
