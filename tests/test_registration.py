"""Importing the package is cheap, and yet nothing is registered too late."""

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest

# What the host imports of others and takes most of its time: done once, in the process that
# interpreters are forked from.
_OF_OTHERS = ['torch._dynamo', 'torch.distributed.fsdp', 'torchvision.ops', 'cv2', 'matplotlib']

HEAVY = ('mmpretrain.models', 'mmpretrain.datasets', 'mmpretrain.evaluation', 'torchvision')
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


def _execute(script: str, log: Path) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    exec(script, {})


@pytest.fixture
def run(tmp_path):
    """What runs a script in an interpreter that has imported neither us nor the host."""
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload(_OF_OTHERS)

    def run_script(script: str) -> None:
        ours = "{'mmcv', 'mmengine', 'mmpretrain', 'mmpretrain_mldecoder'}"
        clean = f'import sys\nassert not {ours} & sys.modules.keys()\n'
        process = context.Process(target=_execute, args=(clean + script, tmp_path / 'log'))
        process.start()
        process.join(120)
        assert process.exitcode == 0, (tmp_path / 'log').read_text()

    return run_script


def test_importing_leaves_the_heavy_parts_of_the_host_alone():
    script = (
        'import sys, mmpretrain_mldecoder, mmpretrain_mldecoder.layers\n'
        f'print([name for name in {HEAVY} if name in sys.modules])\n'
    )
    done = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == '[]'


def test_what_mmcv_lite_lacks_is_not_said():
    script = 'import mmpretrain_mldecoder, mmpretrain.models'
    result = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True)
    assert 'MultiScaleDeformableAttention' not in result.stderr


@pytest.mark.parametrize('order', [1, -1])
def test_every_name_is_there_when_it_is_looked_up(run, order):
    names = dict(list(NAMES.items())[::order])
    run(
        'import mmpretrain_mldecoder\n'
        'import mmpretrain.registry\n'
        f'for name, registry in {names}.items():\n'
        '    found = getattr(mmpretrain.registry, registry).get(name)\n'
        "    assert found and found.__module__.startswith('mmpretrain_mldecoder'), name\n"
    )


@pytest.mark.parametrize(
    'first',
    [
        'mmengine.hooks, mmengine.model, mmengine.infer',
        'mmpretrain.models',
        'mmpretrain.datasets',
        'mmpretrain.evaluation, mmpretrain.engine',
        'mmpretrain_mldecoder.models',
        'mmpretrain_mldecoder.weights',
    ],
)
def test_parts_may_be_imported_in_any_order(run, first):
    """Nothing of ours is imported while a part that it needs is only half there."""
    run(
        f'import mmpretrain_mldecoder\nimport {first}\n'
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


def test_after_the_host_everything_is_there_at_once(run):
    run(
        'import mmpretrain.models, mmpretrain.datasets, mmpretrain.evaluation\n'
        'import mmpretrain_mldecoder\n'
        'from mmpretrain.registry import DATASETS, METRICS, MODELS\n'
        'assert "MLDecoderHead" in MODELS.module_dict\n'
        'assert "COCOMultiLabel" in DATASETS.module_dict\n'
        'assert "MultiLabelMAP" in METRICS.module_dict\n'
    )


def test_subpackages_are_attributes(run):
    run(
        'import mmpretrain_mldecoder\n'
        'print(mmpretrain_mldecoder.datasets.COCOMultiLabel, mmpretrain_mldecoder.models.heads)\n'
        'try:\n'
        '    mmpretrain_mldecoder.nothing\n'
        'except AttributeError as error:\n'
        "    assert 'nothing' in str(error)\n"
    )
