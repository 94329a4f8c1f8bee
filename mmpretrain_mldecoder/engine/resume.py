"""Which checkpoint an interrupted run goes on from."""

import re
from pathlib import Path


def find_resume_checkpoint(work_dir: str | Path) -> str | None:
    """Find the newest checkpoint of a run, however it ended.

    It is the one that the file ``last_checkpoint`` names, also if the folder was moved since. A
    run that is killed at the wrong moment leaves this file empty or naming a checkpoint that was
    removed; then it is the ``epoch_N.pth`` or ``iter_N.pth`` with the highest number.

    Args:
        work_dir (str | Path): The folder of the run; it need not exist.

    Returns:
        str | None: Path of the checkpoint, None if there is none.
    """
    work_dir = Path(work_dir)
    pointer = work_dir / 'last_checkpoint'
    if pointer.is_file():
        named = Path(pointer.read_text().strip())
        for path in (named, work_dir / named.name):
            if path.is_file():
                return str(path)
    numbered = {}
    for path in work_dir.glob('*.pth'):
        match = re.fullmatch(r'(?:epoch|iter)_(\d+)', path.stem)
        if match:
            numbered[int(match[1])] = path
    return str(numbered[max(numbered)]) if numbered else None
