"""A prediction run as it shows in a terminal: a line a picture, and a bar while it lasts."""

import sys

from ...printable import printable
from ...visualization.prediction_table import PredictionTable
from ...visualization.progress_bar import progress_bar
from .prediction_run import PredictionRun


def run_and_print(run: PredictionRun, bar: bool = True) -> None:
    """Predict what is to do, and print it.

    Each prediction is a line on stdout, when it is kept; each unreadable picture one on stderr.

    Args:
        run (PredictionRun): It is run, and not finished.
        bar (bool): Whether there is a progress bar on stderr, if there is more than one batch.
            Defaults to True.
    """
    table = PredictionTable(run.paths, run.inferencer.classes)
    long = len(run.todo) > run.inferencer.batch_size
    with progress_bar(disable=not (bar and long)) as progress:
        task = progress.add_task('predicting', total=len(run.todo))

        def show(prediction: dict) -> None:
            # In one piece: print would let another process write between text and newline.
            sys.stdout.write(table.row(prediction) + '\n')
            sys.stdout.flush()
            progress.advance(task)

        def report(path: str, reason: str) -> None:
            sys.stderr.write(f'cannot read image {printable(path)}: {printable(reason)}\n')
            progress.advance(task)

        run.run(show, report)
