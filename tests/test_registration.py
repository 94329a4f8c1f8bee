"""Importing the package is cheap, and yet nothing is registered too late."""

import json
import subprocess
import sys
from collections.abc import Callable

import pytest

# Forks an interpreter for each script, which has imported neither us nor the host, but what the
# host imports of others: that takes most of the time.
_SERVER = """
import json, os, sys, traceback
import cv2, matplotlib, torch._dynamo, torch.distributed.fsdp, torchvision.ops
assert not {'mmcv', 'mmengine', 'mmpretrain', 'mmpretrain_mldecoder'} & sys.modules.keys()
for line in sys.stdin:
    reader, writer = os.pipe()
    if not os.fork():
        os.dup2(writer, 1)
        os.dup2(writer, 2)
        os.close(writer)
        try:
            exec(json.loads(line), {})
            print('done')
        except BaseException:
            traceback.print_exc(file=sys.stdout)
        sys.stdout.flush()
        os._exit(0)
    os.close(writer)
    with open(reader) as printed:
        answer = printed.read()
    os.wait()
    print(json.dumps(answer), flush=True)
"""

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


@pytest.fixture(scope='module')
def run() -> Callable[[str], None]:
    """What runs a script in an interpreter of its own."""
    with subprocess.Popen(
        [sys.executable, '-c', _SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:

        def run_script(script: str) -> None:
            print(json.dumps(script), file=server.stdin, flush=True)
            printed = json.loads(server.stdout.readline())
            assert printed.endswith('done\n'), printed

        yield run_script
        server.stdin.close()


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
        'mmpretrain_mldecoder.checkpoints',
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
