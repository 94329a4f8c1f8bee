"""Label files of many formats, read into one table, split, and written as COCO JSON."""

from .answers import Answers
from .coco_files import read_split_counts, write_coco_files
from .corrections import write_corrected
from .find_label_files import LabelFiles, find_label_files
from .formats import FORMATS
from .label_table import LabelRow, LabelTable, merge_rows
from .read_labels import read_labels
from .split import make_folds, split_table
from .split_counts import SplitCounts, count_splits, split_counts_table

__all__ = [
    'FORMATS',
    'Answers',
    'LabelFiles',
    'LabelRow',
    'LabelTable',
    'SplitCounts',
    'count_splits',
    'find_label_files',
    'make_folds',
    'merge_rows',
    'read_labels',
    'read_split_counts',
    'split_counts_table',
    'split_table',
    'write_coco_files',
    'write_corrected',
]
