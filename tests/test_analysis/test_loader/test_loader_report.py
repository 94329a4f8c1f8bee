import io

import pytest
from rich.console import Console

from mmpretrain_mldecoder.analysis.loader.loader_report import print_loader_speed
from mmpretrain_mldecoder.analysis.loader.loader_speed import LoaderSpeed


@pytest.fixture
def printed():
    """Print a measurement with changes, as lines without their line breaks."""

    def report(gpu_rate=None, **change) -> str:
        facts = dict(
            split='train',
            photos=1000,
            stages=dict(labels=0.2, LoadImageFromFile=3.0, SquareResize=0.8, x=1.0),
            core_rate=200.0,
            core_share=0.97,
            workers=8,
            loader_rate=800.0,
            batch_size=56,
            num_photos=96_000,
            cores=4,
            is_resized_copy=False,
        )
        out = io.StringIO()
        console = Console(file=out, width=100)
        print_loader_speed(LoaderSpeed(**(facts | change)), gpu_rate, console)
        return ' '.join(out.getvalue().split())

    return report


def test_stages_rates_and_advice(printed):
    text = printed()
    assert 'train: one sample on one core' in text
    assert '│ LoadImageFromFile │ 3.00 │ 60% │ ██████████████████' in text
    assert '│ all │ 5.00 │ │ 200 photos/s' in text
    # the slowest first, nothing on stages below a tenth
    assert text.index('slowest: LoadImageFromFile, 60%: decodes') < text.index('x, 20%: ')
    assert 'x, 20%: give it more workers' in text
    assert 'SquareResize, 16%: next to nothing for a resized copy' in text
    assert 'labels, ' not in text
    assert (
        'through the loader (8 workers, 4 cores here): 800 photos/s; an epoch of 96,000 samples in '
        '2.0 min' in text
    )
    assert 'is kept busy by X / 200 cores like these' in text
    assert 'of its core' not in text


def test_cores_of_a_gpu(printed):
    assert 'trains 1,200 photos/s is kept busy by 6.0 cores like these' in printed(1200)


def test_a_core_that_others_use_is_said(printed):
    assert 'This process had 42% of its core: other programs run here' in printed(core_share=0.42)


def test_no_copy_is_advised_where_there_is_one(printed):
    assert 'resized copy' not in printed(is_resized_copy=True)
    assert 'no workers' in printed(workers=0)
