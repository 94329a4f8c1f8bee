"""One page that shows what a test run got right and wrong; and the same run for FiftyOne."""

from ...checkpoints.restricted_pickle import read_predictions
from .fiftyone_labels import write_fiftyone
from .page import write_report
from .test_run import TestRun, read_test_run

__all__ = ['TestRun', 'read_predictions', 'read_test_run', 'write_fiftyone', 'write_report']
