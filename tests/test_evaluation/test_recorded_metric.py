"""Our AP against what PaddleClas' ``MultiLabelMAP`` gave, recorded.

``tests/peers/test_metric.py`` runs the peer itself.
"""

import json
from pathlib import Path

import pytest
from metric_cases import metric_cases
from paddleclas_metric import check_case, check_ties

RECORD = json.loads((Path(__file__).parents[1] / 'recorded/paddleclas_metric.json').read_text())


@pytest.mark.parametrize('map_type', ['integral', '11point'])
def test_equals_paddleclas_but_for_ties(map_type):
    cases = metric_cases()
    for name in ('plain', 'missing', 'unknown', 'few'):
        check_case(name, *cases[name], RECORD['results'][name][map_type], map_type)
    check_ties(RECORD['results'], map_type)
