import pytest
from tiny_classifier import write_classifier

from mmpretrain_mldecoder.apis import MultiLabelInferencer


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp('demo')


@pytest.fixture(scope='module')
def inferencer(folder):
    return MultiLabelInferencer(*write_classifier(folder), device='cpu')


@pytest.fixture
def photo(folder):
    return str(sorted((folder / 'coco' / 'val2017').glob('*.jpg'))[0])
