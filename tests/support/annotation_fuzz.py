"""Compare the reader of annotations with pycocotools on many damaged files."""

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from coco_mutations import NotInstances, truth
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import SearchStrategy

from mmpretrain_mldecoder.datasets import read_coco_annotations

# a byte, a record, a key, or what the file is as a whole
PLACE = (
    r'\(byte \d+\)|\(\d+ bytes\)|`\$[.`]|annotations\[\d+\]|at the top level|list of \w+ is '
    r'empty|is empty: copy|(id|name) .* occurs more than once|not JSON: '
)


def check(path: Path, data: bytes) -> str:
    """Check what our reader makes of a file; return which of the two it was."""
    path.write_bytes(data)
    try:
        expected, may_refuse = truth(data)
    except NotInstances:
        expected, may_refuse = None, True
    try:
        coco = read_coco_annotations(path)
    except ValueError as error:
        assert type(error) is ValueError
        assert str(error).startswith(str(path))
        assert re.search(PLACE, str(error), re.DOTALL), error
        assert may_refuse, (error, data)
        return 'refused'
    assert expected is not None, data
    found = vars(coco) | dict(
        annotation_images=coco.image_ids[coco.annotation_images],
        annotation_categories=coco.category_ids[coco.annotation_categories],
    )
    assert not found.pop('lists_absent')
    areas = found.pop('annotation_areas')
    np.testing.assert_array_equal(areas, np.array(expected.pop('annotation_areas'), float))
    assert {name: list(values) for name, values in found.items()} == expected
    return 'read'


def check_many(
    damaged: Callable[[], SearchStrategy[bytes]], path: Path, examples: int, **options
) -> None:
    """Check so many files of a kind, each written to ``path``."""
    seen = Counter()

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
        **options,
    )
    @given(damaged())
    def run(data):
        seen[check(path, data)] += 1

    run()
    print(dict(seen))
    # both happen often, or one side would go untested
    assert min(seen['read'], seen['refused']) > 0.05 * examples
