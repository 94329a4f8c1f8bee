"""Predictions in a file that is either whole or absent."""

from mmengine.evaluator import DumpResults
from mmengine.fileio import dump

from ..atomic_write import atomic_write


class AtomicDumpResults(DumpResults):
    """MMEngine's ``DumpResults`` that writes to a temporary name and then renames.

    The file is MMEngine's: a pickled list with one dict a sample, in the order of the dataset.

    Args:
        out_file_path (str): Ends with ``.pkl`` or ``.pickle``.
    """

    def compute_metrics(self, results: list) -> dict:
        with atomic_write(self.out_file_path) as path:
            dump(results, path, file_format='pkl')
        return {}
