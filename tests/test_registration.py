"""Importing the package is cheap, and yet nothing is registered too late."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# ---- what is registered, and when


def test_importing_leaves_the_heavy_parts_of_the_host_alone():
    heavy = ('mmpretrain.models', 'mmpretrain.datasets', 'mmpretrain.evaluation', 'torchvision')
    script = (
        'import sys, mmpretrain_mldecoder.console\n'
        "assert not {'torch', 'mmengine', 'mmcv', 'mmpretrain'} & {*sys.modules}\n"
        'import mmpretrain, mmpretrain_mldecoder.layers\n'
        f'print([name for name in {heavy} if name in sys.modules])\n'
    )
    done = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == '[]'


# A name of ours and the registry that it is looked up in, in an interpreter that has built nothing.
NAMES = dict(
    MLDecoderHead='MODELS',
    ResNetVd='MODELS',
    COCOMultiLabel='DATASETS',
    SeededSampler='DATA_SAMPLERS',
    SquareResize='TRANSFORMS',
    MultiLabelMAP='METRICS',
    DualEMAHook='HOOKS',
    PortableRunner='RUNNERS',
    PlainOneCycleLR='PARAM_SCHEDULERS',
    NoDecay1DConstructor='OPTIM_WRAPPER_CONSTRUCTORS',
    CPUDistributedDataParallel='MODEL_WRAPPERS',
)


@pytest.mark.parametrize('order', [1, -1])
def test_every_name_is_there_when_it_is_looked_up(run_script, order):
    run_script(
        'import mmpretrain_mldecoder, mmpretrain.registry\n'
        f'for name, registry in {list(NAMES.items())[::order]}:\n'
        '    found = getattr(mmpretrain.registry, registry).get(name)\n'
        "    assert found and found.__module__.startswith('mmpretrain_mldecoder'), name\n"
    )


@pytest.mark.parametrize(
    'first',
    [
        'mmpretrain_mldecoder, mmengine.hooks, mmengine.model, mmengine.infer',
        'mmpretrain_mldecoder, mmpretrain.models',
        'mmpretrain_mldecoder, mmpretrain.datasets',
        'mmpretrain_mldecoder, mmpretrain.evaluation, mmpretrain.engine',
        'mmpretrain_mldecoder.models',
        'mmpretrain_mldecoder.checkpoints',
        'mmpretrain.models, mmpretrain.datasets, mmpretrain.evaluation, mmpretrain_mldecoder',
    ],
)
def test_parts_may_be_imported_in_any_order(run_script, first):
    """Nothing of ours is imported while a part that it needs is only half there."""
    run_script(
        f'import {first}\n'
        'import mmpretrain.models, mmpretrain.datasets, mmpretrain.evaluation\n'
        'from mmengine.registry import RUNNERS, WEIGHT_INITIALIZERS\n'
        'from mmengine.runner import CheckpointLoader\n'
        'from mmpretrain.registry import DATASETS, METRICS, MODELS\n'
        # the dictionaries themselves: a look-up would import what is missing
        'for registry, name in ((MODELS, "MLDecoderHead"), (DATASETS, "COCOMultiLabel"),\n'
        '                       (METRICS, "MultiLabelMAP"), (RUNNERS, "PortableRunner")):\n'
        '    assert name in registry.module_dict, name\n'
        'pretrained = WEIGHT_INITIALIZERS.get("Pretrained")\n'
        'loader = CheckpointLoader._get_checkpoint_loader("paddleclas://ResNet50_vd")\n'
        'for ours in (pretrained, loader):\n'
        '    assert ours.__module__.startswith("mmpretrain_mldecoder"), ours\n'
    )


def test_subpackages_are_attributes_and_mmcv_s_warning_is_filtered(run_script):
    printed = run_script(
        'import mmpretrain_mldecoder, mmpretrain.models\n'
        'print(mmpretrain_mldecoder.datasets.COCOMultiLabel, mmpretrain_mldecoder.models.heads)\n'
        'from mmpretrain_mldecoder import apis\n'
        'assert set(dir(mmpretrain_mldecoder)) >= {*apis.__all__, "layers", "apis"}\n'
        'for name in apis.__all__:\n'
        '    assert getattr(mmpretrain_mldecoder, name) is getattr(apis, name)\n'
        'try:\n'
        '    mmpretrain_mldecoder.nothing\n'
        'except AttributeError as error:\n'
        "    assert 'nothing' in str(error)\n"
    )
    assert 'MultiScaleDeformableAttention' not in printed


# ---- the rows of configs/

ROWS = sorted(
    f'{folder}_{path.stem}'
    for folder in ('imagenet', 'linear', 'mldecoder')
    for path in (ROOT / 'configs' / folder).glob('*.py')
)


@pytest.mark.parametrize('where', ['installed', 'copied'])
def test_rows_are_known_after_the_import(run_script, where, tmp_path):
    """As installed here, and from a checkout that pip has never seen."""
    if where == 'copied':
        (tmp_path / 'mmpretrain_mldecoder').mkdir()
        for path in (ROOT / 'mmpretrain_mldecoder').iterdir():
            if path.name != '.mim':
                (tmp_path / 'mmpretrain_mldecoder' / path.name).symlink_to(path)
        for name in ('configs', 'model-index.yml'):
            (tmp_path / name).symlink_to(ROOT / name)
    script = (
        f'import os, sys, warnings; os.chdir({str(tmp_path)!r})\n'
        f'sys.path[:0] = {[str(tmp_path)] * (where == "copied")}\n'
        "warnings.simplefilter('ignore', DeprecationWarning)\n"
        'import mmpretrain, mmpretrain_mldecoder\n'
        'import importlib\n'
        'importlib.reload(mmpretrain_mldecoder)\n'
        'from mmpretrain import get_model, list_models\n'
        "names = [n for p in ('imagenet_', 'linear_', 'mldecoder_') for n in list_models(p)]\n"
        "model = get_model('mldecoder_r50vd_ssld_coco')\n"
        'print(f"\\n{names} {type(model.backbone).__name__} {model.head.num_classes}")\n'
        'print(mmpretrain_mldecoder.__file__)\n'
    )
    printed = run_script(script)
    # the host prints too
    *_, line, file, _ = printed.splitlines()
    names, backbone, num_classes = line.rsplit(maxsplit=2)
    assert sorted(ast.literal_eval(names)) == ROWS
    assert (backbone, num_classes) == ('ResNetVd', '80')
    assert 'conflict' not in printed
    assert file.startswith(str(tmp_path)) == (where == 'copied')


def test_index_registered_by_hand_before(run_script):
    printed = run_script(
        'from mmpretrain.apis.model import ModelHub\n'
        f'ModelHub.register_model_index({str(ROOT / "model-index.yml")!r}, {str(ROOT)!r})\n'
        'import mmpretrain_mldecoder\n'
        "assert ModelHub.get('mldecoder_r50_coco').config.model.head.type == 'MLDecoderHead'\n"
    )
    assert 'is conflict in' in printed and 'need not be called' in printed


def test_package_without_its_configs(run_script, tmp_path):
    """Only the folder of Python files was copied: the rest works."""
    run_script(
        'from pathlib import Path\n'
        'from mmpretrain_mldecoder import registration\n'
        f'registration.PACKAGE = Path({str(tmp_path / "mmpretrain_mldecoder")!r})\n'
        'registration._register_model_index.cache_clear()\n'
        'assert registration.find_model_index() is None\n'
        'from mmpretrain.apis import model\n'
        'registration._register_model_index(model)\n'
    )


# ---- where the host is missing, or too old for what is beside it

# What an environment without these packages has: they can neither be imported nor found.
HIDE = """
import sys
from importlib.abc import MetaPathFinder

class Hidden(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in {names}:
            raise ModuleNotFoundError(f'No module named {{name!r}}', name=name)

sys.meta_path.insert(0, Hidden())
"""


def test_what_needs_the_host_says_what_is_missing(run_script):
    """When it is imported; test_examples/test_plain_torch.py shows what runs without."""
    run_script(
        HIDE.format(names={'mmcv'}) + 'import mmpretrain_mldecoder\n'
        'from mmpretrain_mldecoder.layers import MLDecoder\n'
        'for name in (*mmpretrain_mldecoder.SUBPACKAGES[1:], "MultiLabelInferencer"):\n'
        '    try:\n'
        '        getattr(mmpretrain_mldecoder, name)\n'
        '    except ImportError as error:\n'
        '        assert "mmcv cannot be imported. Install" in str(error), error\n'
        '    else:\n'
        '        raise AssertionError(name)\n'
    )


def test_config_of_a_user_without_mmpretrain(run_script, tmp_path):
    """MMEngine replaces an ImportError by one without a reason, and with advice that is wrong."""
    config = tmp_path / 'config.py'
    config.write_text("custom_imports = dict(imports=['mmpretrain_mldecoder'])")
    run_script(
        HIDE.format(names={'mmpretrain'}) + 'from mmengine.config import Config\n'
        'try:\n'
        f'    Config.fromfile({str(config)!r})\n'
        'except RuntimeError as error:\n'
        "    assert 'mmpretrain cannot be imported. Install' in str(error), error\n"
        'else:\n'
        '    raise AssertionError\n'
        # their own code may use the layers beside MMEngine
        'import mmpretrain_mldecoder.layers\n'
    )


@pytest.mark.parametrize(
    ('transformers', 'left_out'),
    [('5.24.0', True), ('4.52.0.dev0', True), ('4.51.3', False), (None, False)],
)
def test_multimodal_models_beside_a_newer_transformers(
    run_script, tmp_path, transformers, left_out
):
    """With pycocotools, MMPretrain imports them where it finds any transformers from 4.28 on."""
    if transformers:
        folder = tmp_path / f'transformers-{transformers}.dist-info'
        folder.mkdir()
        (folder / 'METADATA').write_text(f'Name: transformers\nVersion: {transformers}\n')
    printed = run_script(
        f'import sys; sys.path.insert(0, {str(tmp_path)!r})\n'
        'import mmpretrain_mldecoder\n'
        'from mmpretrain.utils.dependency import WITH_MULTIMODAL\n'
        f'assert WITH_MULTIMODAL == {transformers == "4.51.3"}\n'
        f'if {left_out}:\n'
        '    import mmpretrain.models\n'
    )
    assert ('transformers below 4.52' in printed) == left_out
