"""A folder for the logs of each run, named by the time of its start."""

import os
from datetime import datetime, timedelta
from pathlib import Path

from mmengine.dist import broadcast_object_list, is_main_process

_FORMAT = '%Y%m%d_%H%M%S'


def claim_timestamp(work_dir: str | os.PathLike, timestamp: str) -> str:
    """Make ``<work_dir>/<timestamp>`` for one run alone.

    If another run has that folder already, this one gets the time of the next free second, so that
    logs and results of two runs never share a name.

    Args:
        work_dir (str | PathLike): The folder of the runs; it exists.
        timestamp (str): As MMEngine writes it, ``20240131_235959``.

    Returns:
        str: The time of the folder that was made, the same in all processes of the run.
    """
    claimed = [None]
    if is_main_process():
        second = datetime.strptime(timestamp, _FORMAT)
        while claimed == [None]:
            try:
                Path(work_dir, second.strftime(_FORMAT)).mkdir()
                claimed = [second.strftime(_FORMAT)]
            except FileExistsError:
                second += timedelta(seconds=1)
    broadcast_object_list(claimed)
    return claimed[0]
