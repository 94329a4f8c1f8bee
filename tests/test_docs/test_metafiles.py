"""The model index reads by OpenMMLab's loader and says what the configs and tables say."""

import pytest
from finished_tests import rows
from markdown_pages import ROOT
from mmengine.config import Config
from modelindex.load_model_index import load
from modelindex.models.ModelIndex import ModelIndex

FOLDERS = ('mldecoder', 'linear', 'imagenet')
NOT_NUMBERS = ('Source', 'Unverified')


@pytest.fixture
def model_index(monkeypatch) -> ModelIndex:
    monkeypatch.chdir(ROOT)  # paths in metafiles are relative to the repository
    index = load('model-index.yml')
    index.build_models_with_collections()
    return index


def test_loader_finds_no_error_and_every_config(model_index):
    # OpenMMLab's paths start at the repository; the loader looks beside the metafile for a README.
    errors = [error for error in model_index.check(silent=True) if 'README' not in error]
    assert errors == []
    assert all((ROOT / collection.readme).is_file() for collection in model_index.collections)
    expected = {
        f'configs/{folder}/{path.name}': f'{folder}_{path.stem}'
        for folder in FOLDERS
        for path in (ROOT / 'configs' / folder).glob('*.py')
    }
    assert len(model_index.models.data) == len(expected)
    assert {model.config: model.name for model in model_index.models} == expected


def test_costs_and_recipes_are_those_of_the_configs(model_index):
    costs = {row.name: row.cost for row in rows()}
    for model in model_index.models:
        cfg = Config.fromfile(ROOT / model.config)
        metadata = model.metadata.data
        assert (metadata['Parameters'], metadata['FLOPs']) == costs[model.name], model.name
        assert metadata.get('Epochs') in (None, cfg.get('train_cfg', {}).get('max_epochs'))
        batch = cfg.get('auto_scale_lr', {}).get('base_batch_size')
        assert metadata.get('Batch Size') in (None, batch)


def test_what_is_published_has_a_source_and_nothing_else_is_reported(model_index):
    for model in model_index.models:
        published = model.metadata.data.get('Published')
        if published is not None:
            assert {'en', 'zh'} == published['Source'].keys(), model.name
            digits = [value for key, value in published.items() if key not in NOT_NUMBERS]
            # as text: YAML would read 83.50 as 83.5
            assert digits and all(isinstance(x, str) and float(x) for x in digits), model.name
        # Nothing unmeasured is reported; weights are those of others, of the whole model.
        assert all(result.metrics == {} for result in model.results)
        if 'imagenet_' in model.name:
            assert model.weights.partition('://')[0] in ('paddleclas', 'timm'), model.name
        elif 'tresnet' in model.name:
            assert model.weights.startswith('miil://'), model.name
        elif model.weights is not None:
            assert model.weights.startswith('paddlex://') and '448px' in model.name, model.name
            assert published['Source']['en'].count('PaddleX'), model.name
        else:
            assert 'PaddleX' not in str(published), model.name
